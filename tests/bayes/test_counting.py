"""Counts of LeNets are the published ones, and those of what is left of a network."""

import itertools

import numpy as np
import pytest

from kgrow.bayes.counting import LayerSize, executed_flops, layer_sizes, published_flops, widths
from kgrow.graph import Scaling
from kgrow.graph.chain import chain, glorot_normal
from kgrow.graph.values import Weighted


def small(seed=0):
    architecture = chain((10, 10, 2), [(3, 3, 2), (4, 2, 1)], [5, 3], Scaling((0.0,) * 2, (1.0,) * 2))
    return Weighted.of(architecture, glorot_normal(architecture, seed))


def dense_sizes(*sizes):
    return [LayerSize(*pair) for pair in itertools.pairwise(sizes)]


def lenet5(first, second, inputs, hidden):
    """The published way to write LeNet-5: filters of both convolutions, inputs and outputs of the first Dense layer."""
    return [
        LayerSize(1, first, (5, 5), (28, 28), (24, 24)),
        LayerSize(first, second, (5, 5), (12, 12), (8, 8)),
        *dense_sizes(inputs, hidden, 10),
    ]


def test_sizes_are_those_of_the_layers():
    sizes = layer_sizes(small())
    assert sizes == [
        LayerSize(2, 3, (3, 3), (10, 10), (8, 8)),
        LayerSize(3, 4, (2, 2), (4, 4), (3, 3)),
        LayerSize(36, 5),
        LayerSize(5, 3),
    ]
    assert widths(sizes) == [3, 4, 36, 5]


def test_what_is_zero_does_not_count():
    architecture, weights = small()
    weights = {name: {kind: value.copy() for kind, value in own.items()} for name, own in weights.items()}
    weights["layer_0"]["kernel"][..., 1] = 0
    weights["layer_2"]["kernel"][4:9] = 0
    weights["layer_2"]["kernel"][20] = 0
    sizes = layer_sizes(Weighted(architecture, weights))
    assert [size.outputs for size in sizes] == [2, 4, 5, 3]
    assert widths(sizes) == [2, 4, 30, 5]


@pytest.mark.parametrize(("sizes", "published"), [((20, 50, 800, 500), 8.84), ((5, 10, 65, 25), 0.57)])
def test_published_figures_of_lenet5_come_out(sizes, published):
    assert published_flops(lenet5(*sizes)) / 1e6 == pytest.approx(published, abs=0.006)


def test_flops_count_the_positions_that_are_made():
    assert executed_flops(lenet5(20, 50, 800, 500)) == 599_040 + 3_206_400 + 799_500 + 9_990  # 4.61 million, by hand
    assert executed_flops(dense_sizes(784, 300, 100, 10)) == published_flops(dense_sizes(784, 300, 100, 10))
    assert published_flops(dense_sizes(465, 37, 90, 10)) == 42_733


def test_sizes_of_a_whole_lenet5_are_the_published_ones():
    architecture = chain((28, 28, 1), [(20, 5, 2), (50, 5, 2)], [500, 10], Scaling((0.0,), (1.0,)))
    sizes = layer_sizes(Weighted.of(architecture, glorot_normal(architecture, 0)))
    assert sizes == lenet5(20, 50, 800, 500)


def test_weights_are_those_of_the_seed_and_of_the_right_spread():
    architecture = chain((20, 20, 1), [], [300, 300, 3], Scaling((0.0,), (1.0,)))
    first, same, other = (glorot_normal(architecture, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not np.array_equal(first["layer_0/kernel"], other["layer_0/kernel"])
    assert first["layer_0/kernel"].std() == pytest.approx(np.sqrt(2 / 700), rel=0.01)
    assert first["layer_1/kernel"].std() == pytest.approx(np.sqrt(2 / 600), rel=0.01)
