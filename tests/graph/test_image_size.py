"""Tests of networks for images of another size."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgrow.graph.image_size import at_image_size
from kgrow.graph.operators import MixedPool
from kgrow.searching import SPACES

SHAPES = [(28, 28, 1), (32, 32, 3), (96, 96, 3), (45, 60, 3)]


@pytest.mark.parametrize("space", ["compact", "large", "cells", "seed_plain", "seed_dense"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weights_stay_and_the_way_back_leads_to_the_same_network(space, shape):
    whole = SPACES[space].build(shape, 7)
    found = []
    for fraction in np.linspace(0.4, 1.3, 19):
        size = tuple(round(fraction * side) for side in shape[:2])
        with contextlib.suppress(ValueError):
            found.append(at_image_size(whole, size))
    assert len(found) > 2
    for other in found:
        assert [(kernel.name, kernel.kernel_shape) for kernel in other.kernels()] == [
            (kernel.name, kernel.kernel_shape) for kernel in whole.kernels()
        ]
        assert other.params() == whole.params()
        smaller, larger = sorted((other, whole), key=lambda network: network.input_shape)
        assert smaller.macs() <= larger.macs()
        assert at_image_size(other, shape[:2]) == whole


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 40))
@settings(max_examples=300)
def test_pool_of_a_head_always_makes_as_many_positions(side, grid, other):
    pool = MixedPool((max(1, side // grid),) * 2, (max(1, side // grid),) * 2, "valid")
    shape, smaller = (side, side, 3), (other, other, 3)
    count = pool.output_shape(shape)[0]
    if other >= count:
        changed = pool.at_size(shape, smaller)
        assert changed.output_shape(smaller) == pool.output_shape(shape)
        assert changed.at_size(smaller, shape) == pool


def test_size_that_needs_other_weights_is_refused_by_name():
    whole = SPACES["seed_plain"].build((32, 32, 3), 10)
    with pytest.raises(ValueError, match=r"`size` must leave all weights as they are, but at 2x2 the kernel of block_"):
        at_image_size(whole, (2, 2))
