"""A narrower model computes what the masked one does: over random architectures."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kgrow._keras import keras
from kgrow._tfmot import assign_masks
from kgrow.compressing.graph import build, outputs
from kgrow.compressing.groups import at_least_one, graph_groups
from kgrow.compressing.masked import MaskedModel
from kgrow.compressing.narrow import narrow
from kgrow.compressing.reading import read
from kgrow.pruning.channels import kernel_shaped

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


@SETTINGS
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), ratio=st.sampled_from([0.2, 0.5, 0.8]))
def test_narrower_model_computes_what_the_masked_one_does(data, seed, ratio, tiny_task, scrambled):
    generator = np.random.default_rng(seed)
    graph, values = read(scrambled(random_model(data.draw), seed), tiny_task)
    found = graph_groups(graph.to_logits(), values)
    network = MaskedModel(graph.to_logits(), values, found)
    kept = at_least_one(found.groups, generator.random(len(found.groups)) < ratio)
    kernels = network.kernels()
    masks = kernel_shaped(found.groups, kept, {kernel.name: kernel.mask.shape for kernel in kernels})
    if data.draw(st.booleans()):  # connections inside are pruned too
        masks = {name: mask * (generator.random(mask.shape) < 0.6) for name, mask in masks.items()}
    assign_masks(kernels, [masks[kernel.name] for kernel in kernels])
    left = at_least_one(found.groups, network.remove_dead_channels())

    narrower, fewer = narrow(graph.to_logits(), network.state(), found.made, left)
    smaller = build(narrower, fewer)
    images = tiny_task.test.images[:4]
    expected = network.logits(images)
    np.testing.assert_allclose(outputs(smaller, images), expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))
    assert [layer.output_shape[1:] for layer in smaller.layers[1:]] == [node.shape for node in narrower.nodes[1:]]
    assert sum(fewer[name].size for name in found.groups.kernels) >= network.kept_params()


def test_softmax_at_the_end_is_kept(branched, tiny_task):
    graph, values = read(branched, tiny_task)
    found = graph_groups(graph.to_logits(), values)
    kept = at_least_one(found.groups, np.zeros(len(found.groups), bool))
    smaller = build(*narrow(graph, values, found.made, kept))
    np.testing.assert_allclose(outputs(smaller, tiny_task.test.images).sum(axis=1), 1, rtol=1e-5)
    assert smaller.get_layer("stem").filters == 1
    assert smaller.get_layer("classes").units == 3
