"""The steps that exporters share, on the default architecture for digits."""

import collections
import dataclasses
import os

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.exporting import EXPORTERS, classify, cut, exporter
from kgrow.exporting.exporter import check_exit_index, check_model, run_converter
from kgrow.exporting.measure import open_interpreter, operators
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import softmax
from kgrow.searching import SPACES


@pytest.fixture(scope="module")
def network(digits):
    """The default architecture for digits, its batch normalization far from the identity."""
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
def converted(network):
    return EXPORTERS["float32"].convert(network, (2,))


@pytest.fixture(scope="module")
def model(converted):
    return cut.one_head(converted, 2)


def assert_close(found, expected):
    assert found.shape == expected.shape
    assert np.max(np.abs(found - expected)) <= 1e-4 * max(1, np.max(np.abs(expected)))


def test_logits_match_keras_on_digits_with_batch_norm_folded(model, network, digits):  # T7.1, T7.4
    assert_close(classify(model, digits.test.images), network.logits(digits.test.images)[-1])


def test_no_operation_of_batch_norm_remains(model, network):  # T7.1
    count = collections.Counter(operators(model))
    sums = sum(name.endswith("/sum") for name in network.architecture.by_name)
    assert count["CONV_2D"] == sum(len(op.kernel_shape) == 4 for op in network.architecture.kernels())
    assert count["ADD"] == sums + 1  # the head mixes two poolings: two products and their sum
    assert (count["SUB"], count["DIV"], count["MUL"]) == (1, 0, 2)  # of the scaling only the mean is left
    assert count["FULLY_CONNECTED"] == count["SOFTMAX"] == count["CAST"] == 1


def test_joins_strides_and_float_pixels_convert(varied_network, noise):
    converted = EXPORTERS["float32"].convert(varied_network, (2,), "float32")
    images = noise(varied_network, dtype=np.float32) + np.float32(0.25)
    assert_close(classify(cut.one_head(converted, 2), images), varied_network.logits(images)[-1])


def test_probabilities_are_the_softmax_of_the_logits(model, digits):
    answer = open_interpreter(model).get_signature_runner("serving_default")(image=digits.test.images[:1])
    np.testing.assert_allclose(answer["probabilities"], softmax(answer["logits"]), atol=1e-6)


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
        return {"logits_1": tiny_network(image, training=False)[-1]}

    holds_no_variables = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()], holds_no_variables)
    with pytest.raises(RuntimeError, match="dropped the signature"):
        check_model(run_converter(converter), tiny_network.architecture, (1,), "uint8", "float32")


def test_operation_that_is_not_built_in_is_an_error(converted, network, monkeypatch):
    @tf.function(input_signature=[tf.TensorSpec((1, 2, 4, 1), tf.float32, name="image")], autograph=False)
    def answer(image):
        return {"logits": tf.nn.erosion2d(image, tf.ones((1, 1, 1)), [1] * 4, "SAME", "NHWC", [1] * 4)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    with pytest.raises(RuntimeError, match="FlexDilation2D"):
        check_model(run_converter(converter), network.architecture, (2,), "float32", "float32")
    monkeypatch.setattr(exporter, "operators", lambda model: ["CONV_2D", "FlexErf"])  # as TensorFlow's own would say
    with pytest.raises(RuntimeError, match="built-in operations, but has FlexErf"):
        check_model(converted, network.architecture, (2,), "uint8", "float32")


def test_other_shapes_or_types_than_promised_are_an_error(converted, network, tiny_network):
    for wrong in [((2,), "float32", "float32"), ((2,), "uint8", "int8"), ((1,), "uint8", "float32")]:
        with pytest.raises(RuntimeError, match="must read and give"):
            check_model(converted, network.architecture, *wrong)
    with pytest.raises(RuntimeError, match=r"\(1, 3\)"):
        check_model(converted, tiny_network.architecture, (2,), "uint8", "float32")


def test_exit_index_must_be_that_of_a_head(network):
    assert check_exit_index(network, None) == 2
    for wrong in (-1, 3):
        with pytest.raises(ValueError, match=r"`exit_index` must be in \[0, 2\]"):
            check_exit_index(network, wrong)
    empty = GrowingNetwork(dataclasses.replace(network.architecture, blocks=()))
    with pytest.raises(ValueError, match="at least one block"):
        check_exit_index(empty, None)
