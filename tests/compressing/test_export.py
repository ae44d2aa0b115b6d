"""A compressed model to a proved file, on digits from end to end."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kgrow
from kgrow._keras import keras, tf
from kgrow.compressing.reading import network_of, read
from kgrow.exporting import ExportError, ExportOptions, classify, export
from kgrow.exporting.answers import DeviceModel
from kgrow.exporting.bundle import read_bundle
from kgrow.exporting.measure import open_interpreter
from kgrow.registry import EXPORTERS
from kgrow.task import Split


@pytest.fixture(scope="module")
def wide(layers, digits):
    """Some 10 000 parameters; raw pixels of 0..16 in."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(layers.Rescaling(1 / 16)(image))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.Conv2D(16, 1, use_bias=False)(layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(y)))
    x = layers.MaxPooling2D()(layers.Add()([x, layers.BatchNormalization(momentum=0.9)(y)]))
    x = layers.Concatenate()([x, layers.Conv2D(16, 3, padding="same", activation="relu")(x)])
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    model = keras.Model(image, layers.Dense(10, activation="softmax")(x), name="digits_net")
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(digits.train.images, digits.train.labels, batch_size=64, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def compressed(wide, digits):
    return kgrow.compress(wide, digits, steps=2, epochs=8, batch_size=64, learning_rate=3e-3, verbose=0)


@pytest.fixture(scope="module")
def exported(compressed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return {kind: compressed.export(folder / f"{kind}.tflite", kind) for kind in ("float32", "int8")}


@pytest.mark.slow
def test_half_the_channels_are_nearly_as_good(compressed):
    before, after = compressed.document["before"], compressed.document["after"]
    assert before["test_accuracy"] > 0.95
    assert after["test_accuracy"] > before["test_accuracy"] - 0.03
    assert after["macs"] < 0.4 * before["macs"]


@pytest.mark.slow
def test_file_is_measured_and_answers_as_the_model(compressed, exported, digits):
    for kind, artefact in exported.items():
        logits = classify(artefact.path, digits.test.images)
        assert artefact.test_accuracy == np.mean(logits.argmax(axis=-1) == digits.test.labels)
        assert artefact.macs == compressed.document["after"]["macs"], kind
        assert artefact.bytes == os.path.getsize(artefact.path)
    assert exported["float32"].max_abs_diff < 1e-4
    assert exported["float32"].test_accuracy == compressed.document["after"]["test_accuracy"]
    assert exported["int8"].accuracy_drop <= 0.01


def test_file_is_smaller_than_the_uncompressed_one(compressed, wide, exported, tmp_path):
    whole = network_of(read(wide, compressed.task))
    before = export(whole, compressed.task, tmp_path / "whole.tflite", ExportOptions("int8"))
    after = exported["int8"]
    assert after.macs < 0.4 * before.macs
    assert after.bytes < 0.75 * before.bytes
    assert after.ram_bytes < before.ram_bytes


def test_int8_file_reads_pixels_as_they_are(exported, digits):
    content = Path(exported["int8"].path).read_bytes()
    (image,) = open_interpreter(content).get_input_details()
    assert image["dtype"] == np.uint8
    assert image["quantization"] == (1.0, 0)
    bright = DeviceModel([content], (0,)).run(np.full((1, 8, 8, 1), 255, np.uint8))  # beyond what was seen
    assert np.isfinite(bright.values).all()


def test_bundle_runs_where_kgrow_is_not(compressed, digits, tmp_path):
    out = tmp_path / "bundle"
    artefact = compressed.export(out, "int8", micro=True)
    assert {"model.tflite", "labels.txt", "metadata.json", "run.py", "model_data.cc"} <= set(os.listdir(out))
    description, models = read_bundle(out)
    assert description["macs"] == artefact.macs
    assert len(models) == 1
    np.save(tmp_path / "image.npy", digits.test.images[0])
    command = [sys.executable, str(out / "run.py"), "--json", str(tmp_path / "image.npy")]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert answer["label"] == str(classify(out / "model.tflite", digits.test.images[:1]).argmax())


def test_other_kinds_are_written_too(compressed, tmp_path):
    for kind in ("float16", "dynamic"):
        assert compressed.export(tmp_path / f"{kind}.tflite", kind).accuracy_drop <= 0.01


@pytest.mark.parametrize(
    ("quantize", "options", "message"),
    [
        ("int7", {}, "`quantize` must be one of .* Did you mean 'int8'"),
        ("float32", {"exit_index": 1}, r"`exit_index` must be in \[0, 0\], but got 1"),
        ("float32", {"output_dtype": "int8"}, "`output_dtype` must be 'float32' unless"),
    ],
)
def test_options_that_do_not_fit_are_refused(quantize, options, message, compressed, tmp_path):
    with pytest.raises(ValueError, match=message):
        compressed.export(tmp_path / "a.tflite", quantize, **options)
    assert not os.listdir(tmp_path)


def test_too_few_images_for_8_bits_are_refused(compressed, tmp_path):
    train = compressed.task.train
    _, firsts = np.unique(train.labels, return_index=True)  # one of each class
    task = dataclasses.replace(compressed.task, train=Split(train.images[firsts], train.labels[firsts]))
    with pytest.raises(ValueError, match="must have at least 16 training images for an int8 file, but got 10"):
        dataclasses.replace(compressed, task=task).export(tmp_path / "a.tflite", "int8")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("kind", ["dynamic", "int8"])
def test_drop_over_what_is_allowed_names_the_layer_that_is_hurt_most(kind, wide, digits, tmp_path):
    model = keras.models.clone_model(wide)
    model.set_weights(wide.get_weights())
    joined, classes = model.layers[-4], model.layers[-1]
    # Large weights on a channel that is always zero: they change no answer, but leave no steps for the other weights.
    joined_by = next(layer for layer in model.layers if layer.output is joined.input[1])
    joined_by.bias.assign(tf.tensor_scatter_nd_update(joined_by.bias, [[0]], [-1e4]))
    rows = classes.kernel.numpy()
    rows[16::32] = 1e3
    classes.kernel.assign(rows)
    before = model.get_weights()
    with pytest.raises(ExportError, match=rf"changes the logits most is {classes.name}\."):
        export(network_of(read(model, digits)), digits, tmp_path / "model.tflite", ExportOptions(kind))
    assert os.listdir(tmp_path) == []
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_normalization_behind_the_last_kernel_is_part_of_it(kind, layers, digits, tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Rescaling(1 / 16), layers.Flatten()])
    for layer in (layers.Dense(32, activation="relu"), layers.Dense(10), layers.BatchNormalization(momentum=0.9)):
        model.add(layer)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(digits.train.images, digits.train.labels, batch_size=64, epochs=4, verbose=0)
    artefact = export(network_of(read(model, digits)), digits, tmp_path / "model.tflite", ExportOptions(kind))
    assert artefact.accuracy_drop <= 0.01


def test_error_of_a_layer_is_that_of_the_model_with_it_alone_rounded(branched, tiny_task):
    class Halved(type(EXPORTERS["float16"])):
        def stored(self, kernel):
            return kernel / 2

    network, images = network_of(read(branched, tiny_task)), tiny_task.test.images
    errors, exact = Halved().layer_errors(network, images), network.logits(images)[0]
    state = network.state()
    for kernel in network.kernels():
        changed = network.copy()
        changed.load_state({**state, f"{kernel.name}/kernel": state[f"{kernel.name}/kernel"] / 2})
        expected = np.mean((changed.logits(images)[0] - exact) ** 2)
        assert errors[kernel.name] == pytest.approx(expected, rel=1e-3, abs=1e-9)
    assert set(errors) == {kernel.name for kernel in network.kernels()}
    assert min(errors.values()) > 0


@pytest.mark.slow
def test_a_model_of_one_classifier_has_no_early_exits(compressed, tmp_path):
    from kgrow.exporting import EarlyExit

    with pytest.raises(ValueError, match="`early_exit` must be left out: a compressed model has one classifier"):
        compressed.export(tmp_path / "model.tflite", early_exit=EarlyExit(0.5))
    assert not list(tmp_path.iterdir())
