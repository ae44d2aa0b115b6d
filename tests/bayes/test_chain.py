"""What is removed from a chain is gone, and what is left computes the same."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgrow._keras import tf
from kgrow.bayes.chain import Chain, LayerSize
from kgrow.bayes.counting import executed_flops, published_flops


def small(seed=0):
    chain = Chain.fresh((10, 10, 2), [(3, 3, 2), (4, 2, 1)], [5, 3], seed)
    generator = np.random.default_rng(seed)
    for layer in chain.layers:
        layer.bias.assign(generator.normal(size=layer.bias.shape))
    return chain


def dense_sizes(*widths):
    return [LayerSize(*pair) for pair in itertools.pairwise(widths)]


def lenet5(first, second, inputs, hidden):
    """The published way to write LeNet-5: filters of both convolutions, inputs and outputs of the first Dense layer."""
    return [
        LayerSize(1, first, (5, 5), (28, 28), (24, 24)),
        LayerSize(first, second, (5, 5), (12, 12), (8, 8)),
        *dense_sizes(inputs, hidden, 10),
    ]


def test_sizes_are_those_of_the_layers():
    assert small().sizes() == [
        LayerSize(2, 3, (3, 3), (10, 10), (8, 8)),
        LayerSize(3, 4, (2, 2), (4, 4), (3, 3)),
        LayerSize(36, 5),
        LayerSize(5, 3),
    ]
    assert small().widths() == [3, 4, 36, 5]


def test_weights_are_those_of_the_seed():
    first, same, other = (Chain.fresh((4, 4, 1), [], [3, 3, 3], seed) for seed in (1, 1, 2))
    kernels = [[layer.kernel.numpy() for layer in chain.layers] for chain in (first, same, other)]
    assert all(np.array_equal(*pair) for pair in zip(*kernels[:2], strict=True))
    assert not np.array_equal(kernels[0][0], kernels[2][0])
    assert not np.array_equal(kernels[0][1], kernels[0][2])


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.15, 0.3, 0.6]))
def test_narrowed_chains_compute_the_same(seed, density):
    chain = small(seed % 7)
    generator = np.random.default_rng(seed)
    drawn = [generator.random(layer.kernel.shape) < density for layer in chain.layers]
    for mask in drawn[:2]:
        mask &= generator.random(mask.shape[-1]) < 0.7  # whole filters
    masks = chain.connected(drawn)
    if not all(mask.any() for mask in masks):
        return
    for layer, mask in zip(chain.layers[:-1], masks, strict=False):
        layer.bias.assign(layer.bias * mask.reshape(-1, mask.shape[-1]).any(axis=0))
    for layer, mask in zip(chain.layers, masks, strict=True):
        layer.kernel.assign(layer.kernel * mask)
    images = tf.constant(generator.normal(size=(4, 10, 10, 2)).astype(np.float32))
    narrow = chain.narrowed(masks)
    np.testing.assert_allclose(narrow(images), chain(images), rtol=1e-4, atol=1e-4)
    again = narrow.narrowed(narrow.connected([layer.kernel.numpy() != 0 for layer in narrow.layers]))
    assert again.sizes() == narrow.sizes()  # nothing is left to remove
    np.testing.assert_allclose(again(images), chain(images), rtol=1e-4, atol=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_connected_weights_are_those_on_a_path(seed):
    chain = Chain.fresh((2, 2, 1), [], [3, 3, 2], 0)
    generator = np.random.default_rng(seed)
    masks = [generator.random(layer.kernel.shape) < 0.3 for layer in chain.layers]
    expected = [np.zeros_like(mask) for mask in masks]
    for path in itertools.product(range(4), range(3), range(3), range(2)):
        steps = list(itertools.pairwise(path))
        if all(mask[step] for mask, step in zip(masks, steps, strict=True)):
            for mask, step in zip(expected, steps, strict=True):
                mask[step] = True
    for found, wanted in zip(chain.connected(masks), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("widths", "published"),
    [
        ((20, 50, 800, 500), 8.84),
        ((5, 10, 65, 25), 0.57),
    ],
)
def test_published_figures_of_lenet5_come_out(widths, published):
    assert published_flops(lenet5(*widths)) / 1e6 == pytest.approx(published, abs=0.006)


def test_flops_count_the_positions_that_are_made():
    assert executed_flops(lenet5(20, 50, 800, 500)) == 599_040 + 3_206_400 + 799_500 + 9_990  # 4.61 million, by hand
    assert executed_flops(dense_sizes(784, 300, 100, 10)) == published_flops(dense_sizes(784, 300, 100, 10))
    assert published_flops(dense_sizes(465, 37, 90, 10)) == 42_733
