"""Models that are in memory: of Keras 2 with inner models, and of Keras 3 in a process of its own."""

import os
import subprocess
import sys

import numpy as np
import pytest

from kgrow._keras import keras
from kgrow.compressing.reading import network_of, outputs, read

L = keras.layers
pytestmark = pytest.mark.usefixtures("eagerly")


def test_inner_models_arithmetic_and_augmentation_are_read(tiny_task):
    image = keras.Input((8, 8, 3))
    x = L.RandomFlip()(image) / 255.0 - 0.5
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), L.Conv2D(4, 3, padding="same"), L.BatchNormalization()], name="in"
    )
    x = inner(x)
    x = 1.0 - x
    x = x * L.Activation("sigmoid")(L.Conv2D(4, 1)(x)) + x
    model = keras.Model(image, L.Dense(3)(L.Flatten()(x)))
    notes = []
    given = read(model, tiny_task, notes.append)
    assert "in/conv2d" in " ".join(given.weighted.architecture.by_name)
    images = tiny_task.test.images
    np.testing.assert_allclose(network_of(given).logits(images)[0], outputs(model, images), rtol=1e-4, atol=1e-4)
    assert notes == ["RandomFlip of the model is left out, as in inference; `augmentation` changes training images"]


def test_division_by_what_is_read_is_named(tiny_task):
    image = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match=r"is the operation math\.truediv on tensors"):
        read(keras.Model(image, L.Dense(3)(L.Flatten()(255.0 / image))), tiny_task)


@pytest.mark.parametrize("layer", [L.BatchNormalization(), L.Dropout(0.5), L.GaussianNoise(0.1), L.RandomFlip()])
def test_layer_that_is_called_in_training_is_named(layer, tiny_task):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, L.Dense(3)(L.Flatten()(layer(image, training=True))))
    with pytest.raises(ValueError, match=f"calls '{layer.name}' with `training=True`"):
        read(model, tiny_task)


def test_normalization_of_another_axis_is_named_also_where_the_sizes_are_equal(tiny_task):
    layer = L.Normalization(axis=1, mean=[float(row) for row in range(8)], variance=[1.0] * 8)
    wide = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(8, 1), layer, L.Flatten(), L.Dense(3)])
    with pytest.raises(ValueError, match=r"\(Normalization\) works along the axes \(1,\), where only the last one"):
        read(wide, tiny_task)


KERAS_3 = """
import numpy as np, keras, kgrow
from kgrow.task import Task

L = keras.layers
keras.utils.set_random_seed(0)
draw = np.random.default_rng(0)
labels = np.arange(90) % 3
images = (draw.integers(0, 60, (90, 8, 8, 3)) + 90 * (np.arange(3) == labels[:, None])[:, None, None]).astype(np.uint8)
inside = keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(8, 3, activation="hard_silu", name="conv")], name="first")
more = keras.Sequential([L.Input((6, 6, 8)), L.Conv2D(8, 1, name="conv")], name="second")
both = keras.Sequential([L.Input((8, 8, 3)), inside, more], name="both")
image = L.Input((8, 8, 3), name="image")
features = L.GlobalAveragePooling2D()(both(L.RandomFlip()(1 - 2 * (image / 255))))
model = keras.Model({"image": image}, L.Dense(3, activation="softmax")(features))
model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
model.fit(images, labels, epochs=20, verbose=0)
before = model.get_weights()
compressed = kgrow.compress(model, (images, labels), test_data=(images, labels), epochs=2, steps=1, verbose=0)
assert type(compressed.model.layers[-1]).__module__.startswith("tf_keras")
assert compressed.document["layers"][0]["channels_after"] == 4, compressed.document
model.save("saved.h5")
model.save("saved.keras")
from kgrow.models.opened import opened
for path in ("saved.h5", "saved.keras"):  # two layers of one name in it, a number that is no float, an input of a name
    read = opened(path)[0](images.astype(np.float32), training=False).numpy()
    assert np.allclose(read, model({"image": images.astype(np.float32)}, training=False), atol=1e-4), path
assert compressed.document["before"]["test_accuracy"] == 1
assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
compressed.export("small.tflite", quantize="int8")
try:
    kgrow.compress(keras.Sequential([L.Input((8, 8, 3)), L.Lambda(lambda x: x), L.Flatten(), L.Dense(3)]), images)
except ValueError as error:
    assert "is a Lambda. Supported are" in str(error), error
"""


@pytest.mark.slow
def test_model_of_keras_3_is_compressed_and_exported(tmp_path):
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "0", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", KERAS_3], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "small.tflite").is_file()
