"""Tests of the network against its own arithmetic in NumPy, and of what growing leaves alone."""

import dataclasses

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.graph.operators import BatchNorm, Conv
from kgrow.network import GrowingNetwork
from tests.graph import numpy_oracle


def same_state(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def images(tiny_task):
    return tiny_task.validation.images


def test_logits_equal_the_architecture_worked_out_in_numpy(varied_network, images):
    logits = varied_network.logits(images)
    expected = numpy_oracle.logits(varied_network.architecture, varied_network.state(), images)
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
    layer = Conv((3, 3), filters=64).layer("first", 0)
    layer(tf.zeros((1, 4, 4, 32)))
    kernel = layer.layer.kernel.numpy()
    assert kernel.var() == pytest.approx(2 / (9 * 64), rel=0.05)
    assert np.abs(kernel).max() > 2.5 * kernel.std()  # not truncated


def test_moving_statistics_follow_within_a_short_growth_stage():
    assert (BatchNorm().momentum, BatchNorm().epsilon) == (0.9, 1e-5)


# The internal classifier


def headed(size, grid):
    cells = (Cell("conv", 2, kernel_size=1),)
    return of_cells((*size, 1), 3, Scaling((0.0,), (1.0,)), (CellBlock(cells, Head(grid)),))


def test_mixing_is_drawn_between_the_two_pools_and_trained(varied_network):
    mixing = varied_network.named_variables()["block_0/head/mixing/mixing"]
    assert 0 < float(mixing) < 1
    assert mixing.trainable


def test_map_no_larger_than_the_grid_is_not_pooled(varied_network):
    assert "block_2/head/mixing/mixing" not in varied_network.named_variables()
    assert varied_network.kernels(2)[-1].weight.shape == (2 * 2 * 6, 3)


@pytest.mark.parametrize(("side", "window"), [(32, 8), (16, 4), (8, 2), (10, 2), (5, 1), (3, 1)])
def test_pooling_window_follows_the_published_rule(side, window):
    architecture = headed((side, side), 4)
    pools = [node.operator.window for node in architecture.nodes if node.name.endswith("head/mixing")]
    assert pools == ([(window, window)] if window > 1 else [])
    assert architecture.kernels()[-1].kernel_shape == ((side // window) ** 2 * 2, 3)


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
    state = {**tiny_network.state(), "block_0/cell_0/first/norm/gamma": np.ones(5)}
    with pytest.raises(ValueError, match=r"`state` must hold block_0/cell_0/first/norm/gamma of shape \(4,\)"):
        tiny_network.copy().load_state(state)
