import collections
import dataclasses
import os

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.exporting import EXPORTERS, Exporter, ExportError, Float32, classify, export, exporter
from kgrow.exporting.export import _check_logits
from kgrow.exporting.exporter import check_model, run_converter
from kgrow.exporting.measure import open_interpreter, operators
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import softmax
from kgrow.pruning import Magnitude, prune
from kgrow.searching import SPACES


@pytest.fixture(scope="module")
def network(digits):
    """The default architecture for digits, its batch normalisation far from the identity."""
    architecture = SPACES["compact"].build(digits.input_shape, digits.num_classes)
    scaling = dataclasses.replace(architecture.scaling, mean=digits.pixel_mean, std=digits.pixel_std)
    network = GrowingNetwork(dataclasses.replace(architecture, scaling=scaling), seed=1)
    generator = np.random.default_rng(1)
    for name, variable in network.named_variables().items():
        if name.endswith(("gamma", "moving_variance")):
            variable.assign(generator.uniform(0.1, 4.0, variable.shape))
        elif name.endswith(("beta", "moving_mean")):
            variable.assign(generator.normal(0, 2, variable.shape))
    return network


@pytest.fixture(scope="module")
def model(network):
    return Float32().convert(network)


@pytest.fixture(scope="module")
def varied_model(varied_network):
    return Float32(input_dtype="float32").convert(varied_network)


@pytest.fixture(scope="module")
def pruned(varied_network):
    """As after an optimizer step: pruned weights that are no longer zero."""
    network = varied_network.copy()
    prune(network, {0: 0.5, 1: 0.3, 2: 0.3}, Magnitude(), [], None)
    for kernel in network.kernels():
        kernel.weight.assign_add(0.01 * (1 - kernel.mask))
    return network


def images_for(network, num_images=32, dtype=np.uint8):
    return np.random.default_rng(7).integers(0, 256, (num_images, *network.architecture.input_shape)).astype(dtype)


def assert_close(found, expected):
    assert found.shape == expected.shape
    assert np.max(np.abs(found - expected)) <= 1e-4 * max(1, np.max(np.abs(expected)))


def test_logits_match_keras_on_digits_with_batch_norm_folded(model, network, digits):  # T7.1, T7.4
    assert_close(classify(model, digits.test.images), network.logits(digits.test.images)[-1])


def test_no_operation_of_batch_norm_remains(model, network):  # T7.1
    count = collections.Counter(operators(model))
    sums = sum(op.name.endswith("/sum") for op in network.architecture.operations)
    assert count["CONV_2D"] == sum(len(op.kernel_shape) == 4 for op in network.architecture.kernels())
    assert count["ADD"] == sums + 1  # the head mixes two poolings: two products and their sum
    assert (count["SUB"], count["DIV"]) == (1, 0)  # the scaling, whose division is a product or in the first kernel
    assert count["MUL"] <= 1 + 2
    assert count["FULLY_CONNECTED"] == count["SOFTMAX"] == count["CAST"] == 1


def test_logits_of_a_pruned_network_match_keras(pruned):  # T7.4
    model = Float32().convert(pruned)
    images = images_for(pruned)
    assert_close(classify(model, images), pruned.logits(images)[-1])
    assert all(not np.any(kernel.weight.numpy()[kernel.mask.numpy() == 0]) for kernel in pruned.kernels())


def test_joins_strides_and_float_pixels_convert(varied_model, varied_network):
    images = images_for(varied_network, dtype=np.float32) + np.float32(0.25)
    assert_close(classify(varied_model, images), varied_network.logits(images)[-1])


def test_signature_has_names_static_shapes_and_types(model):
    interpreter = open_interpreter(model)
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["logits", "probabilities"]}
    }
    runner = interpreter.get_signature_runner("serving_default")
    image = runner.get_input_details()["image"]
    assert (image["shape_signature"].tolist(), image["dtype"]) == ([1, 8, 8, 1], np.uint8)
    for details in runner.get_output_details().values():
        assert (details["shape_signature"].tolist(), details["dtype"]) == ([1, 10], np.float32)


def test_probabilities_are_the_softmax_of_the_logits(model, digits):
    answer = open_interpreter(model).get_signature_runner("serving_default")(image=digits.test.images[:1])
    np.testing.assert_allclose(answer["probabilities"], softmax(answer["logits"]), atol=1e-6)


def test_exit_index_chooses_the_head_and_drops_what_comes_after(varied_model, varied_network):
    model = Float32(exit_index=0).convert(varied_network)
    images = images_for(varied_network)
    assert_close(classify(model, images), varied_network.logits(images)[0])
    assert len(model) < 0.6 * len(varied_model)


def test_conversion_prints_nothing(tiny_network, capfd):
    Float32().convert(tiny_network)
    assert capfd.readouterr() == ("", "")


def test_log_of_a_failed_conversion_is_shown(capfd):
    class Broken:
        def convert(self):
            os.write(2, b"the reason\n")
            raise RuntimeError("failed")

    with pytest.raises(RuntimeError, match="failed"):
        run_converter(Broken())
    assert "the reason" in capfd.readouterr().err


def test_signature_dropped_by_the_converter_is_an_error(tiny_network):
    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.uint8, name="image")])
    def answer(image):
        return {"logits": tiny_network(image, training=False)[-1]}

    holds_no_variables = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()], holds_no_variables)
    with pytest.raises(RuntimeError, match="dropped the signature"):
        check_model(run_converter(converter), tiny_network, "uint8")


def test_operation_that_is_not_built_in_is_an_error(model, network, monkeypatch):
    @tf.function(input_signature=[tf.TensorSpec((1, 2, 4, 1), tf.float32, name="image")], autograph=False)
    def answer(image):
        return {"logits": tf.nn.erosion2d(image, tf.ones((1, 1, 1)), [1] * 4, "SAME", "NHWC", [1] * 4)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    with pytest.raises(RuntimeError, match="FlexDilation2D"):
        check_model(run_converter(converter), network, "float32")
    monkeypatch.setattr(exporter, "operators", lambda model: ["CONV_2D", "FlexErf"])  # as TensorFlow's own would say
    with pytest.raises(RuntimeError, match="built-in operations, but has FlexErf"):
        check_model(model, network, "uint8")


def test_other_shapes_or_types_than_promised_are_an_error(model, network, tiny_network):
    with pytest.raises(RuntimeError, match="float32"):
        check_model(model, network, "float32")
    with pytest.raises(RuntimeError, match=r"\(1, 3\)"):
        check_model(model, tiny_network, "uint8")


@pytest.mark.parametrize(
    ("unfit", "message"),
    [
        (Float32(3), r"`exit_index` must be in \[0, 2\]"),
        (Float32(-1), "`exit_index`"),
        (Float32(0, "int8"), "`input_d"),
    ],
)
def test_exporter_that_does_not_fit_is_an_error(unfit, message, network):
    with pytest.raises(ValueError, match=message):
        unfit.convert(network)


def test_network_without_blocks_is_an_error(network):
    empty = GrowingNetwork(dataclasses.replace(network.architecture, blocks=()))
    with pytest.raises(ValueError, match="at least one block"):
        Float32().convert(empty)


def test_every_exporter_implements_the_interface():
    assert all(isinstance(make(exit_index=0, input_dtype="uint8"), Exporter) for make in EXPORTERS.values())


def test_export_proves_the_written_file(network, digits, tmp_path):
    path = tmp_path / "new" / "digits.tflite"
    artefact = export(network, digits, path)
    logits = network.logits(digits.test.images)[-1]
    assert artefact.path == str(path)
    assert artefact.bytes == path.stat().st_size
    assert artefact.test_accuracy == np.mean(logits.argmax(axis=-1) == digits.test.labels)
    assert artefact.max_abs_diff == np.max(np.abs(classify(path, digits.test.images) - logits))
    assert os.listdir(path.parent) == ["digits.tflite"]


def test_export_of_an_early_exit_of_a_pruned_network(pruned, tiny_task, tmp_path):
    artefact = export(pruned, tiny_task, tmp_path / "exit.tflite", exit_index=1)
    logits = pruned.logits(tiny_task.test.images)[1]
    assert_close(classify(tmp_path / "exit.tflite", tiny_task.test.images), logits)
    assert artefact.test_accuracy == np.mean(logits.argmax(axis=-1) == tiny_task.test.labels)


def test_file_that_answers_otherwise_is_removed(varied_network, varied_model, tiny_task, tmp_path, monkeypatch):
    wrong = bytearray(varied_model)
    (bias,) = (np.float32(value).tobytes() for value in varied_network.blocks[-1].head.dense.layer.bias.numpy()[:1])
    wrong[wrong.index(bias) : wrong.index(bias) + 4] = np.float32(9).tobytes()

    class Wrong(Exporter):
        def convert(self, network, representative_dataset=None):
            return bytes(wrong)

    monkeypatch.setitem(EXPORTERS, "wrong", lambda exit_index, input_dtype: Wrong())
    task = dataclasses.replace(
        tiny_task,
        **{
            role: dataclasses.replace(split, images=split.images.astype(np.float32))
            for role, split in (
                ("train", tiny_task.train),
                ("validation", tiny_task.validation),
                ("test", tiny_task.test),
            )
        },
    )
    old = tmp_path / "old.tflite"
    old.write_bytes(b"an older file")
    for path in (tmp_path / "new.tflite", old):
        with pytest.raises(ExportError, match=r"logits .* removed"):
            export(varied_network, task, path, "wrong")
    assert os.listdir(tmp_path) == ["old.tflite"]
    assert old.read_bytes() == b"an older file"


def test_nan_and_other_answers_are_errors_but_ties_are_not():
    logits = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    assert _check_logits(logits + np.float32(1e-5), logits) == pytest.approx(1e-5, rel=0.1)
    for found, expected in ((logits * np.nan, logits), (logits, logits * np.nan), (logits + np.float32(1e-3), logits)):
        with pytest.raises(ExportError):
            _check_logits(found, expected)
    tied = np.zeros((2, 2), np.float32)
    assert _check_logits(tied + np.float32([0, 1e-6]), tied) > 0
    undecided = np.array([[0, 1.5e-4]], np.float32)
    with pytest.raises(ExportError, match="disagree on 1 of 1"):
        _check_logits(undecided + np.float32([1e-4, -1e-4]) * np.float32(0.9), undecided)


def test_path_that_is_no_file_name_is_an_error(network, digits, tmp_path):
    with pytest.raises(ValueError, match=r"end in '\.tflite'"):
        export(network, digits, tmp_path / "model.h5")
    with pytest.raises(ValueError, match="directory"):
        export(network, digits, tmp_path)


def test_unknown_quantization_and_foreign_task_are_errors(network, digits, tiny_task, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'float32'"):
        export(network, digits, tmp_path / "a.tflite", "float23")
    with pytest.raises(ValueError, match=r"`task` must have images of \(8, 8, 1\) in 10 classes"):
        export(network, tiny_task, tmp_path / "a.tflite")
    assert not os.listdir(tmp_path)
