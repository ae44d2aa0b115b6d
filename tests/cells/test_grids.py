"""Convolutions compute what TensorFlow's do, by ways whose gradients are right on every processor."""

import numpy as np
import pytest
from tensorflow.python.ops import gen_nn_ops

from kgrow._keras import keras, tf
from kgrow.cells import ProxySpace
from kgrow.graph.operators._grids import conv2d, differentiable, dilated_conv2d
from kgrow.network import GrowingNetwork


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


def test_a_dilated_convolution_of_stride_two_is_every_second_position_of_the_whole():
    draws = np.random.default_rng(0)
    features, kernel = tf.constant(draws.normal(size=(2, 9, 8, 2))), tf.constant(draws.normal(size=(3, 3, 2, 4)))
    reduced = conv2d(features, kernel, (2, 2), "SAME", dilation=2)
    np.testing.assert_allclose(reduced, dilated_conv2d(features, kernel, (2, 2), "SAME")[:, ::2, ::2])


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


def differentiated(convolve, *tensors):
    """Returns the result, its gradients and theirs."""
    with tf.GradientTape() as outer:
        outer.watch(tensors)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            made = convolve(*tensors)
        first = tape.gradient(made, tensors, made)
    return made, *first, *outer.gradient(first, tensors)


@pytest.mark.parametrize("sides", [(8, 8), (9, 11)])
@pytest.mark.parametrize("strides", [(2, 2), (1, 3), (4, 2)])
def test_every_nth_pixel_has_the_gradients_of_a_kernel_around_it(sides, strides):
    draws = np.random.default_rng(0)
    features = tf.constant(draws.normal(size=(2, *sides, 3)))
    kernel = tf.constant(draws.normal(size=(1, 1, 3, 4)))
    around = [[step - 1, step - 1] for step in strides] + [[0, 0], [0, 0]]

    def whole(features, kernel):
        padded = tf.pad(features, [[0, 0], *around[:2], [0, 0]])  # the middles of the windows are the pixels to read
        return tf.nn.conv2d(padded, tf.pad(kernel, around), strides, "VALID")

    found = differentiated(lambda *given: conv2d(*given, strides, "SAME"), features, kernel)
    for value, expected in zip(found, differentiated(whole, features, kernel), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)


def test_no_gradient_is_taken_of_a_kernel_of_one_pixel_with_strides(varied_genotype, small_stack, eagerly, monkeypatch):
    """With one thread and AVX2, that gradient writes beyond its buffer."""
    taken, take = [], gen_nn_ops.conv2d_backprop_filter
    monkeypatch.setattr(
        gen_nn_ops, "conv2d_backprop_filter", lambda *args, **how: taken.append((args[1], how)) or take(*args, **how)
    )
    network, space = GrowingNetwork(small_stack.architecture(varied_genotype)), ProxySpace(small_stack, num_nodes=2)
    gates = [tf.ones((1, small_stack.repeats(kind), len(edges))) for kind, edges in space.columns.items()]
    gated, images = space.network(None), tf.ones((4, *small_stack.input_shape))
    for answers in (
        lambda: network(images, training=True)[0],
        lambda: gated([images, *gates], training=True),
    ):
        taken.clear()
        with tf.GradientTape() as tape:
            made = answers()
        tape.gradient(made, tape.watched_variables())
        sides = [(max(shape[:2].numpy()), max(how["strides"])) for shape, how in taken]
        assert {(1, 1), (3, 1)} <= set(sides)
        assert (1, 2) not in sides
