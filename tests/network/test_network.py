"""Tests of the network against its own arithmetic in NumPy, and of what growing leaves alone."""

import dataclasses

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.architecture import Architecture, Block, Cell, Head, Scaling
from kgrow.architecture.operations import head_grid
from kgrow.network import GrowingNetwork
from kgrow.network.cells import Join
from kgrow.network.conv_norm import ConvNorm
from kgrow.network.internal_classifier import InternalClassifier


def same_state(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def windows(images, size, stride, fill):
    """Cuts SAME-padded windows: (batch, height, width, size * size, channels)."""
    sides = images.shape[1:3]
    out = [-(-side // step) for side, step in zip(sides, stride, strict=True)]
    pads = [max((o - 1) * s + k - side, 0) for o, s, k, side in zip(out, stride, size, sides, strict=True)]
    margins = [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)]
    padded = np.pad(images, margins, constant_values=fill)
    rows, columns = (np.arange(o) * s for o, s in zip(out, stride, strict=True))
    cuts = [padded[:, rows + i][:, :, columns + j] for i in range(size[0]) for j in range(size[1])]
    return np.stack(cuts, axis=3)


def average_pool(images, factors):
    return np.nanmean(windows(images, factors, factors, np.nan), axis=3)


def convolution(images, kernel, strides=(1, 1)):
    cuts = windows(images, kernel.shape[:2], strides, 0.0)
    return np.einsum("bhwkc,kcf->bhwf", cuts, kernel.reshape(-1, *kernel.shape[2:]))


def depthwise(images, kernel, strides):
    cuts = windows(images, kernel.shape[:2], strides, 0.0)
    return np.einsum("bhwkc,kc->bhwc", cuts, kernel.reshape(-1, kernel.shape[2]))


def dilated(kernel):
    """A kernel with zeros between its taps."""
    height, width, *channels = kernel.shape
    result = np.zeros((2 * height - 1, 2 * width - 1, *channels))
    result[::2, ::2] = kernel
    return result


class Oracle:
    """The network's inference in float64, from its architecture and state alone."""

    def __init__(self, network):
        self.architecture = network.architecture
        self.state = {name: value.astype(np.float64) for name, value in network.state().items()}

    def logits(self, images):
        scaling = self.architecture.scaling
        maps, answers = [], []
        image = (images.astype(np.float64) - scaling.mean) / scaling.std
        for index, block in enumerate(self.architecture.blocks):
            for cell in block.cells:
                prefix = f"block_{index}/cell_{len(maps)}"
                joined = self.read(cell, maps, prefix) if cell.inputs else image
                maps.append(getattr(self, cell.kind)(cell, joined, prefix))
            answers.append(self.head(block.head, maps[-1], f"block_{index}/head"))
        return np.stack(answers)

    def read(self, cell, maps, prefix):
        if cell.kind == "graph":
            return [maps[source] for source in cell.inputs]
        return self.join(cell, maps, prefix)

    def join(self, cell, maps, prefix):
        newest = maps[cell.inputs[-1]]
        pooled = []
        for source in cell.inputs:
            factors = tuple(-(-maps[source].shape[axis] // newest.shape[axis]) for axis in (1, 2))
            pooled.append(average_pool(maps[source], factors))
        if cell.join == "concat":
            return np.concatenate(pooled, axis=-1)
        for source, features in zip(cell.inputs[:-1], pooled, strict=False):
            newest = newest + convolution(features, self.state[f"{prefix}/adapter_{source}/kernel"])
        return newest

    def normalised(self, features, prefix, strides=(1, 1), taps=np.asarray):
        kernel, gamma, beta, mean, variance = (
            self.state[f"{prefix}/{name}"] for name in ("kernel", "gamma", "beta", "moving_mean", "moving_variance")
        )
        return (convolution(features, taps(kernel), strides) - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def conv(self, cell, features, prefix):
        return np.maximum(self.normalised(features, f"{prefix}/first", (cell.stride,) * 2), 0)

    def residual(self, cell, features, prefix):
        first = np.maximum(self.normalised(features, f"{prefix}/first", (cell.stride,) * 2), 0)
        total = self.normalised(first, f"{prefix}/second")
        if cell.shortcut != "none":
            shortcut = average_pool(features, (cell.stride, cell.stride))
            projected = cell.shortcut == "projection"
            total = total + (self.normalised(shortcut, f"{prefix}/projection") if projected else shortcut)
        return np.maximum(total, 0)

    def graph(self, cell, features, prefix):
        nodes, size = {}, features[-1].shape
        for node, source in enumerate(reversed(features)):
            if any(edge.source == node for edge in cell.edges):
                strides = tuple(-(-source.shape[axis] // size[axis]) for axis in (1, 2))
                nodes[node] = self.normalised(source, f"{prefix}/input_{node}/0", strides)
        for target in sorted({edge.target for edge in cell.edges}):
            nodes[target] = 0
            for edge in cell.edges:
                if edge.target == target:
                    strides = (cell.stride if edge.source < 2 else 1,) * 2
                    name = f"{prefix}/{edge.operation}_{edge.source}_{target}"
                    nodes[target] = nodes[target] + self.operation(edge.operation, nodes[edge.source], strides, name)
        stacked = np.concatenate([nodes[target] for target in sorted(nodes) if target > 1], axis=-1)
        return np.maximum(stacked, 0)

    def operation(self, operation, features, strides, name):
        if operation in ("max3", "avg3"):
            cuts = windows(features, (3, 3), strides, np.nan)
            return np.nanmax(cuts, axis=3) if operation == "max3" else np.nanmean(cuts, axis=3)
        if operation == "identity":
            return features if strides == (1, 1) else self.normalised(np.maximum(features, 0), f"{name}/0", strides)
        if operation.startswith("dil"):
            return self.normalised(np.maximum(features, 0), f"{name}/0", strides, dilated)
        for step in (0, 2):
            features = depthwise(np.maximum(features, 0), self.state[f"{name}/{step}/kernel"], strides)
            features, strides = self.normalised(features, f"{name}/{step + 1}"), (1, 1)
        return features

    def head(self, head, features, prefix):
        size = features.shape[1:3]
        window, pooled = head_grid(size, head.grid)
        if pooled != size:
            features = features[:, : pooled[0] * window[0], : pooled[1] * window[1]]
            cuts = windows(features, window, window, np.nan)
            mixing = self.state[f"{prefix}/mixing"]
            features = mixing * cuts.max(axis=3) + (1 - mixing) * cuts.mean(axis=3)
        flat = features.reshape(len(features), -1)
        return flat @ self.state[f"{prefix}/dense/kernel"] + self.state[f"{prefix}/dense/bias"]


@pytest.fixture(scope="module")
def images(tiny_task):
    return tiny_task.validation.images


def test_logits_equal_the_architecture_worked_out_in_numpy(varied_network, images):
    logits = varied_network.logits(images)
    expected = Oracle(varied_network).logits(images)
    assert logits.shape == (3, 24, 3)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


def test_logits_do_not_depend_on_the_batch_size(varied_network, images):
    np.testing.assert_allclose(varied_network.logits(images, batch_size=7), varied_network.logits(images), atol=1e-5)


def test_no_images_have_no_answers(tiny_network, images):
    assert tiny_network.logits(images[:0]).shape == (2, 0, 3)
    answers, heads, evaluated = tiny_network.predict_early(images[:0], 0.5)
    assert (answers.shape, heads.shape, evaluated.shape) == ((0, 3), (0,), (0,))


def test_state_that_is_not_whole_changes_nothing(tiny_network):
    before = tiny_network.state()
    partial = {name: value + 1 for name, value in before.items() if not name.startswith("block_1/head")}
    with pytest.raises(ValueError, match="`state` must hold block_1/head"):
        tiny_network.load_state(partial)
    assert all(np.array_equal(value, before[name]) for name, value in tiny_network.state().items())


def test_whole_numbers_and_floats_of_the_same_pixels_give_the_same_logits(tiny_network, images):
    whole = tiny_network.logits(images)
    assert np.array_equal(tiny_network.logits(images.astype(np.float32)), whole)
    assert np.array_equal(tiny_network(images)[-1], tiny_network(images.astype(np.float32))[-1])
    np.testing.assert_allclose(np.stack(tiny_network(images)), whole, atol=1e-6)


# Growing


def test_growing_leaves_the_logits_of_every_existing_head_bitwise_equal(tiny_architecture, images):
    first, second = tiny_architecture.blocks
    network = GrowingNetwork(dataclasses.replace(tiny_architecture, blocks=(first,)), seed=3)
    before, state = network.logits(images), network.state()
    network.grow(second)
    after = network.logits(images)
    assert after.shape == (2, 24, 3)
    assert np.array_equal(after[:1], before)
    assert same_state({name: network.state()[name] for name in state}, state)


def test_values_of_a_block_do_not_depend_on_when_it_is_grown(varied_architecture):
    at_once = GrowingNetwork(varied_architecture, seed=5)
    later = GrowingNetwork(dataclasses.replace(varied_architecture, blocks=varied_architecture.blocks[:1]), seed=5)
    tf.random.normal((3,))
    for block in varied_architecture.blocks[1:]:
        later.grow(block)
    assert later.architecture == varied_architecture
    assert same_state(later.state(), at_once.state())


def test_another_seed_draws_other_values_for_every_kernel(tiny_architecture, tiny_network):
    other = GrowingNetwork(tiny_architecture, seed=4)
    for first, second in zip(tiny_network.kernels(), other.kernels(), strict=True):
        assert not np.array_equal(first.weight, second.weight)


def test_kernels_of_one_shape_start_from_different_values(varied_network):
    by_shape = {}
    for kernel in varied_network.kernels():
        by_shape.setdefault(tuple(kernel.weight.shape), []).append(kernel.weight.numpy())
    assert any(len(values) > 1 for values in by_shape.values())
    assert all(not np.array_equal(values[0], other) for values in by_shape.values() for other in values[1:])


def test_convolutions_start_with_the_variance_that_keeps_gradients_alive():
    layer = ConvNorm(64, 3, seed=0, name="first")
    layer(tf.zeros((1, 4, 4, 32)))
    kernel = layer.conv.layer.kernel.numpy()
    assert kernel.var() == pytest.approx(2 / (9 * 64), rel=0.05)
    assert np.abs(kernel).max() > 2.5 * kernel.std()  # not truncated


def test_moving_statistics_follow_within_a_short_growth_stage():
    layer = ConvNorm(2, 1, seed=0, name="first")
    assert layer.norm.momentum == 0.9
    assert layer.norm.epsilon == 1e-5


# The internal classifier


@pytest.mark.parametrize("size", [(8, 8), (9, 6), (5, 16)])
@pytest.mark.parametrize(("mixing", "pool"), [(1.0, np.max), (0.0, np.mean)])
def test_internal_classifier_pools_the_largest_or_the_average_at_the_ends_of_its_mixing(size, mixing, pool):
    head = InternalClassifier(Head(2), 3, size, seed=1, prefix="block_0/head")
    features = np.random.default_rng(0).normal(size=(2, *size, 4)).astype(np.float32)
    head(features)
    head.mixing.assign(mixing)
    height, width = size[0] // 2, size[1] // 2
    quarters = features[:, : 2 * height, : 2 * width].reshape(2, 2, height, 2, width, 4)
    expected = pool(quarters, axis=(2, 4)).reshape(2, -1) @ head.dense.layer.kernel.numpy()
    np.testing.assert_allclose(head(features), expected, atol=1e-5)


def test_mixing_is_drawn_between_the_two_pools_and_trained(varied_network):
    head = varied_network.blocks[0].head
    assert 0 < float(head.mixing) < 1
    assert head.mixing.trainable


def test_map_no_larger_than_the_grid_is_not_pooled(varied_network):
    assert varied_network.blocks[2].head.mixing is None
    assert varied_network.blocks[2].head.dense.layer.kernel.shape == (2 * 2 * 6, 3)


@pytest.mark.parametrize(("side", "window"), [(32, 8), (16, 4), (8, 2), (10, 2), (5, 1), (3, 1)])
def test_pooling_window_follows_the_published_rule(side, window):
    assert head_grid((side, side), 4) == ((window, window), (side // window, side // window))


# Skips


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (5, 13)])
def test_skip_over_a_down_sampling_is_average_pooled(size):
    cells = (
        Cell("conv", 2),
        Cell("conv", 3, inputs=(0,), stride=2),
        Cell("conv", 2, inputs=(0, 1), join="concat"),
    )
    architecture = Architecture((*size, 1), 2, Scaling((0.0,), (1.0,)), (Block(cells, Head(1)),))
    join = Join(architecture, 2, seed=0, prefix="block_0/cell_2")
    maps = [
        np.random.default_rng(number).normal(size=(2, *architecture.feature_shape(number))).astype(np.float32)
        for number in range(2)
    ]
    expected = np.concatenate([average_pool(maps[0], (2, 2)), maps[1]], axis=-1)
    np.testing.assert_allclose(join(maps), expected, atol=1e-6)


# State


def test_state_survives_a_trip_into_another_network(varied_architecture, varied_network):
    state = varied_network.state()
    other = GrowingNetwork(varied_architecture, seed=9)
    assert not same_state(other.state(), state)
    other.load_state(state)
    assert same_state(other.state(), state)


def test_copy_is_equal_and_independent(tiny_network):
    original = tiny_network.state()
    copy = tiny_network.copy()
    assert copy.architecture == tiny_network.architecture
    assert same_state(copy.state(), original)
    for variable in copy.named_variables().values():
        variable.assign(variable + 1)
    assert same_state(tiny_network.state(), original)


def test_masks_are_part_of_the_state_and_zero_what_they_remove(tiny_network):
    network = tiny_network.copy()
    kernel = network.kernels()[0]
    mask = np.ones(kernel.weight.shape, np.float32)
    mask[0] = 0
    kernel.mask.assign(mask)
    network.apply_masks()
    copy = network.copy()
    assert np.array_equal(copy.kernels()[0].mask, mask)
    assert not copy.kernels()[0].weight.numpy()[0].any()
    assert network.kept_params(0) == kernel.size * 2 // 3 + network.kernels()[1].size
    assert network.kept_params() == network.kept_params(0) + network.kept_params(1)


def test_incomplete_state_is_refused_by_name(tiny_network):
    state = tiny_network.state()
    del state["block_1/head/dense/bias"]
    with pytest.raises(ValueError, match=r"`state` must hold block_1/head/dense/bias of shape \(3,\), but does not"):
        tiny_network.copy().load_state(state)


def test_state_of_another_shape_is_refused_by_name(tiny_network):
    state = {**tiny_network.state(), "block_0/cell_0/first/gamma": np.ones(5)}
    with pytest.raises(ValueError, match=r"`state` must hold block_0/cell_0/first/gamma of shape \(4,\)"):
        tiny_network.copy().load_state(state)
