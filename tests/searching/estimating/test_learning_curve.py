"""Tests of learning curves: what is known of their future where it is known."""

import numpy as np
import pytest

from kgrow.searching.estimating.learning_curve import FAMILIES, MIN_EPOCHS, extrapolate

CURVES = [(0.9, 0.5, 0.5, 10), (0.8, 0.6, 0.3, 20), (0.95, 0.4, 1.0, 12), (0.7, 0.5, 0.8, 30), (0.6, 0.3, 0.2, 15)]


def pow3(epochs, c, a, alpha):
    return c - a * np.asarray(epochs, float) ** -alpha


@pytest.mark.parametrize(("c", "a", "alpha", "seen"), CURVES)
def test_noiseless_power_law_is_foretold_to_five_times_its_length(c, a, alpha, seen):
    draws = extrapolate(pow3(np.arange(1, seen + 1), c, a, alpha), 5 * seen)
    assert abs(draws.mean() - pow3(5 * seen, c, a, alpha)) < 0.005
    assert draws.std() < 0.005


@pytest.mark.parametrize("seed", range(5))
def test_dominated_curve_has_no_hope_and_a_dominating_one_has(seed):
    noise = np.random.default_rng(seed).normal(0, 0.005, 15)
    low, high = (np.clip(pow3(np.arange(1, 16), c, 0.4, 1.0) + noise, 0, 1) for c in (0.7, 0.95))
    assert np.mean(extrapolate(low, 60, seed) > 0.9) < 0.05
    assert np.mean(extrapolate(high, 60, seed) > 0.9) > 0.5


def test_flat_start_is_left_out():
    rising = pow3(np.arange(1, 16), 0.9, 0.7, 0.8)
    flat = np.full(12, 0.1)
    late = extrapolate(np.concatenate([flat, rising]), 60)
    assert abs(late.mean() - 0.88) < 0.06


def test_draws_are_accuracies_and_the_same_for_a_seed():
    curve = np.clip(pow3(np.arange(1, 13), 1.0, 0.5, 0.9) + np.random.default_rng(0).normal(0, 0.03, 12), 0, 1)
    draws = extrapolate(curve, 40, seed=3)
    assert ((draws >= 0) & (draws <= 1)).all()
    np.testing.assert_array_equal(draws, extrapolate(curve, 40, seed=3))
    assert not np.array_equal(draws, extrapolate(curve, 40, seed=4))


@pytest.mark.parametrize("curve", [[], [0.5] * (MIN_EPOCHS - 1), [0.1, np.nan] * 6], ids=["none", "few", "not numbers"])
def test_what_cannot_be_fitted_says_nothing(curve):
    assert extrapolate(np.array(curve), 30) is None


def test_constant_curve_stays_constant():
    assert extrapolate(np.full(12, 0.75), 40).mean() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_is_finite_at_its_start(family):
    assert np.isfinite(family.function(np.arange(family.first, 50, dtype=float), *family.start)).all()
