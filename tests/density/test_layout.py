"""Tests of layouts and masks: exact counts, and no unit without an input and an output."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.density import Layout, random_mask
from kgrow.density.layout import fewest_connections

SIDES = st.integers(1, 40)


@given(inputs=SIDES, outputs=SIDES, density=st.floats(0.001, 1.0))
def test_connections_are_the_rounded_product(inputs, outputs, density):
    wanted = round(density * inputs * outputs)
    if wanted < outputs:
        with pytest.raises(ValueError, match="must leave every unit an input and an output"):
            Layout((inputs, outputs), (density,))
    else:
        assert Layout((inputs, outputs), (density,)).connections == (wanted,)


@given(inputs=SIDES, outputs=SIDES, share=st.floats(0, 1), covers=st.booleans(), seed=st.integers(0, 1000))
def test_mask_has_exactly_its_connections_and_no_dead_unit(inputs, outputs, share, covers, seed):
    fewest = max(inputs, outputs) if covers else outputs
    count = fewest + round(share * (inputs * outputs - fewest))
    mask = random_mask((inputs, outputs), count, np.random.default_rng(seed), covers)
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) <= {0.0, 1.0}
    assert mask.sum() == count
    assert mask.any(axis=0).all()
    assert mask.any(axis=1).all() or not covers


def test_mask_depends_on_its_seed_alone():
    first, again, other = (random_mask((30, 20), 90, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_connection_is_as_likely_as_any_other():
    masks = [random_mask((6, 4), 10, np.random.default_rng(seed)) for seed in range(4000)]
    # The standard error of each mean is 0.008.
    assert np.abs(np.mean(masks, axis=0) - 10 / 24).max() < 0.04


def test_the_smallest_density_is_what_the_error_names():
    with pytest.raises(ValueError, match="pass at least") as caught:
        Layout((784, 256, 256, 10), (0.1, 0.001, 0.5))
    assert "layer 1 of 256 x 256 only 66 connections. It needs 256" in str(caught.value)
    smallest = float(re.search(r"at least (\S+),", str(caught.value))[1])
    assert Layout((784, 256, 256, 10), (0.1, smallest, 0.5)).connections[1] == 256


def test_pixels_may_be_left_unread_and_hidden_units_not():
    assert fewest_connections((784, 32, 64, 10)) == (32, 64, 64)


@pytest.mark.parametrize("density", [0, -0.1, 1.1, 35, float("nan")])
def test_density_that_is_no_fraction_is_explained(density):
    with pytest.raises(ValueError, match=r"`densities` must be in \(0, 1\], but got"):
        Layout((8, 4), (density,))


@pytest.mark.parametrize(("sizes", "densities"), [((8,), ()), ((8, 4), ()), ((8, 4), (0.5, 0.5)), ((8, 0), (0.5,))])
def test_layout_that_does_not_fit_together_is_refused(sizes, densities):
    with pytest.raises(ValueError, match=r"`sizes` must|`densities` must"):
        Layout(sizes, densities)


@pytest.mark.parametrize("count", [5, 25])
def test_too_few_or_too_many_connections_are_refused(count):
    with pytest.raises(ValueError, match=rf"must be in \[6, 24\] for a layer of 6 x 4, but got {count}"):
        random_mask((6, 4), count, np.random.default_rng(0))
