"""Densities of random sparse networks: exact in all, by the sum of a kernel's sides."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.pruning import Magnitude, prune
from kgrow.pruning.erk import erk_counts
from kgrow.pruning.select import kept_count

CONVOLUTIONS = st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5]), st.integers(1, 40), st.integers(1, 40))
SHAPES = st.lists(st.one_of(CONVOLUTIONS, st.tuples(st.integers(1, 60), st.integers(1, 60))), min_size=1, max_size=6)


@given(SHAPES, st.floats(0, 1))
def test_counts_add_up_and_lie_within_one_of_the_definition(shapes, ratio):
    sizes = [math.prod(shape) for shape in shapes]
    total = kept_count(ratio, sum(sizes))
    counts = erk_counts(shapes, total)
    assert sum(counts) == total
    assert all(0 <= count <= size for count, size in zip(counts, sizes, strict=True))

    def ideal(factor):
        return [min(size, factor * sum(shape)) for shape, size in zip(shapes, sizes, strict=True)]

    low, high = 0.0, float(max(sizes)) + 1
    for _ in range(200):  # the factor, by bisection
        middle = (low + high) / 2
        low, high = (middle, high) if sum(ideal(middle)) < total else (low, middle)
    slack = 1 + sum(wanted < 1 for wanted in ideal(high))  # for those that get one nevertheless
    for count, wanted in zip(counts, ideal(high), strict=True):
        assert abs(count - wanted) < slack + 1e-6
    assert all(counts) or total < len(shapes)


def test_small_kernels_are_whole_before_large_ones():
    assert erk_counts([(3, 3, 3, 16), (3, 3, 64, 64)], 4_000) == [432, 3_568]
    assert erk_counts([(100, 10), (100, 100)], 310) == [110, 200]


def test_blocks_keep_their_count_and_each_layer_its_own(varied_copy, cross_entropy):
    prune(varied_copy, {0: 0.4, 1: 0.5, 2: 0.3}, Magnitude(), [], cross_entropy, "erk")
    for block, ratio in enumerate((0.4, 0.5, 0.3)):
        kernels = varied_copy.kernels(block)
        kept = kept_count(ratio, sum(kernel.size for kernel in kernels))
        assert [kernel.kept for kernel in kernels] == erk_counts([tuple(k.weight.shape) for k in kernels], kept)
        for kernel in kernels:  # the largest stay
            mask, size = kernel.mask.numpy(), np.abs(kernel.weight.numpy())
            assert size[mask == 0].max(initial=0) <= 1e-12
    assert varied_copy.kept_params() < sum(kernel.size for kernel in varied_copy.kernels())


def test_all_or_nothing():
    assert erk_counts([(3, 3, 2, 2), (4, 5)], 56) == [36, 20]
    assert erk_counts([(3, 3, 2, 2), (4, 5)], 0) == [0, 0]
    assert erk_counts([(4, 5)], 7) == [7]
    assert pytest.approx(sum(erk_counts([(4, 5)] * 3, 11))) == 11
