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


KERAS_3 = """
import numpy as np, keras, kgrow
from kgrow.task import Task

L = keras.layers
keras.utils.set_random_seed(0)
draw = np.random.default_rng(0)
labels = np.arange(90) % 3
images = (draw.integers(0, 60, (90, 8, 8, 3)) + 90 * (np.arange(3) == labels[:, None])[:, None, None]).astype(np.uint8)
model = keras.Sequential([
    L.Input((8, 8, 3)), L.Rescaling(1 / 255), L.RandomFlip(), L.Conv2D(8, 3, activation="hard_silu"),
    L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax"),
])
model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
model.fit(images, labels, epochs=20, verbose=0)
before = model.get_weights()
compressed = kgrow.compress(model, (images, labels), test_data=(images, labels), epochs=2, steps=1, verbose=0)
assert type(compressed.model.layers[-1]).__module__.startswith("tf_keras")
assert compressed.document["layers"][0]["channels_after"] == 4, compressed.document
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
