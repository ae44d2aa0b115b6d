"""Dilated convolutions compute what a kernel with zeros between its taps computes, gradients too."""

import numpy as np
import pytest

from kgrow._keras import keras, tf
from kgrow.graph.operators._dilation import differentiable, dilated_conv2d


def spread(kernel, dilations):
    """A kernel with zeros between its taps, which needs no dilation."""
    height, width = ((side - 1) * distance + 1 for side, distance in zip(kernel.shape[:2], dilations, strict=True))
    wide = np.zeros((height, width, *kernel.shape[2:]), np.float32)
    wide[:: dilations[0], :: dilations[1]] = kernel
    return wide


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("sides", [(8, 8), (9, 11), (7, 10)])
@pytest.mark.parametrize(("taps", "dilations"), [((3, 3), (2, 2)), ((3, 2), (2, 3)), ((2, 4), (1, 2))])
def test_it_computes_what_a_spread_kernel_computes(sides, taps, dilations, padding):
    draws = np.random.default_rng(0)
    features = tf.constant(draws.normal(size=(2, *sides, 3)).astype(np.float32))
    kernel = draws.normal(size=(*taps, 3, 4)).astype(np.float32)
    weights = None
    found = []
    for own, convolve in (
        (tf.constant(kernel), lambda x, k: dilated_conv2d(x, k, dilations, padding)),
        (tf.constant(spread(kernel, dilations)), lambda x, k: tf.nn.conv2d(x, k, 1, padding)),
    ):
        with tf.GradientTape() as tape:
            tape.watch([features, own])
            made = convolve(features, own)
            weights = draws.normal(size=made.shape).astype(np.float32) if weights is None else weights
            loss = tf.reduce_sum(weights * tf.square(made))
        to_features, to_kernel = tape.gradient(loss, [features, own])
        found.append([made, to_features, to_kernel])
    (made, to_features, to_kernel), (expected, expected_to_features, expected_to_spread) = found
    np.testing.assert_allclose(made, expected, atol=1e-4)
    np.testing.assert_allclose(to_features, expected_to_features, rtol=1e-3, atol=1e-3)
    taken = expected_to_spread.numpy()[:: dilations[0], :: dilations[1]]
    np.testing.assert_allclose(to_kernel, taken, rtol=1e-3, atol=1e-3)


def test_a_dilated_layer_can_be_trained_on_every_processor():
    layer = differentiable(keras.layers.Conv2D(4, 3, padding="same", dilation_rate=2, activation="relu"))
    features = tf.random.stateless_normal((2, 9, 9, 3), (0, 0))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(features))
    kernel, bias = tape.gradient(loss, layer.trainable_variables)
    assert np.any(kernel.numpy())
    assert np.any(bias.numpy())
    assert type(layer) is keras.layers.Conv2D
    assert layer.get_config()["dilation_rate"] == (2, 2)
