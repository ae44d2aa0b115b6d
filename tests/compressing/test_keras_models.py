"""Random Keras models: as data they compute the same, and so does what is left of them without dead channels."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kgrow._keras import keras
from kgrow._tfmot import assign_masks
from kgrow.compressing.reading import network_of, outputs, read
from kgrow.exporting import compact
from kgrow.graph.keras_models import to_keras
from kgrow.graph.values import Weighted
from kgrow.network.early_exit import softmax
from kgrow.pruning.channels import channel_groups, kernel_shaped

L = keras.layers
SETTINGS = settings(max_examples=12, phases=[Phase.generate])  # to shrink a failure takes minutes
pytestmark = pytest.mark.usefixtures("eagerly")


def random_model(draw):
    """Reads 8x8x3 images in three classes; no strategy, because Keras draws random numbers when it makes layers."""
    image = x = keras.Input((8, 8, 3))
    if draw(st.booleans()):
        x = L.Rescaling(1 / 128, -1)(x)
    for _ in range(draw(st.integers(1, 3))):
        x = draw(st.sampled_from([_plain, _residual, _depthwise, _dense_net, _separable]))(draw, x)
    if draw(st.booleans()) and min(x.shape[1:3]) > 1:
        x = draw(st.sampled_from([L.MaxPooling2D, L.AveragePooling2D]))(2)(x)
    x = draw(st.sampled_from([L.Flatten, L.GlobalAveragePooling2D, L.GlobalMaxPooling2D]))()(x)
    if draw(st.booleans()):
        x = L.Dense(draw(st.integers(1, 6)), activation=draw(st.sampled_from(["relu", "sigmoid"])))(x)
        x = L.BatchNormalization()(x) if draw(st.booleans()) else L.Dropout(0.5)(x)
    return keras.Model(image, draw(st.sampled_from([_logits, _softmax, _softmax_layer]))(x))


def _conv(draw, x, filters=None, **options):
    filters, bias = filters or draw(st.integers(1, 5)), draw(st.booleans())
    activation = draw(st.sampled_from(["linear", "relu", "sigmoid", "softplus"]))
    x = L.Conv2D(filters, draw(st.integers(1, 3)), padding="same", use_bias=bias, activation=activation, **options)(x)
    return _norm(draw, x)


def _norm(draw, x):
    if draw(st.booleans()):
        x = L.BatchNormalization(scale=draw(st.booleans()), center=draw(st.booleans()))(x)
    return L.ReLU(6.0)(x) if draw(st.booleans()) else x


def _plain(draw, x):
    stride = draw(st.integers(1, 2))
    if draw(st.booleans()) and min(x.shape[1:3]) > 3:
        return L.Conv2D(draw(st.integers(1, 5)), 3, stride, padding="valid")(L.ZeroPadding2D(1)(x))
    return _conv(draw, x, strides=stride)


def _residual(draw, x):
    return L.Add()([x, _conv(draw, _conv(draw, x), filters=x.shape[-1])])


def _depthwise(draw, x):
    multiplier = draw(st.integers(1, 2))
    return _norm(
        draw, L.DepthwiseConv2D(3, padding="same", depth_multiplier=multiplier, use_bias=draw(st.booleans()))(x)
    )


def _dense_net(draw, x):
    return _norm(draw, L.Concatenate()([x, _conv(draw, x)]))


def _separable(draw, x):
    return L.SeparableConv2D(draw(st.integers(1, 4)), 3, padding="same", depth_multiplier=draw(st.integers(1, 2)))(x)


def _logits(x):
    return L.Dense(3)(x)


def _softmax(x):
    return L.Dense(3, activation="softmax")(x)


def _softmax_layer(x):
    return L.Softmax()(L.Dense(3, use_bias=False)(x))


@pytest.mark.slow
@SETTINGS
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), ratio=st.sampled_from([0.2, 0.5, 0.8]))
def test_model_as_data_and_what_is_left_of_it_compute_the_same(data, seed, ratio, tiny_task, scrambled):
    generator, images = np.random.default_rng(seed), tiny_task.test.images[:4]
    model = scrambled(random_model(data.draw), seed)
    given = read(model, tiny_task)
    network, groups = network_of(given), channel_groups(given.weighted.architecture)
    answers = network.logits(images)[0]
    np.testing.assert_allclose(
        softmax(answers) if given.ends_in_softmax else answers, outputs(model, images), atol=1e-4
    )
    kept = generator.random(len(groups)) < ratio
    kernels = network.kernels()
    masks = kernel_shaped(groups, kept, {kernel.name: kernel.mask.shape for kernel in kernels})
    if data.draw(st.booleans()):  # connections inside are pruned too
        masks = {name: mask * (generator.random(mask.shape) < 0.6) for name, mask in masks.items()}
    assign_masks(kernels, [masks[kernel.name] for kernel in kernels])

    smaller = compact(network)
    expected = network.logits(images)[0]
    tolerance = 1e-5 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(smaller.logits(images)[0], expected, rtol=0, atol=tolerance)
    plain = to_keras(Weighted.of(smaller.architecture, smaller.state()), softmax=False, name="plain")
    np.testing.assert_allclose(outputs(plain, images), expected, rtol=0, atol=tolerance)
    assert smaller.architecture.kernel_params() <= network.architecture.kernel_params()
    assert compact(smaller).architecture == smaller.architecture
