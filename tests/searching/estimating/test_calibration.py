"""Tests of how far an estimator can be trusted."""

import itertools

import numpy as np
import pytest

from kgrow.reporting.wording import agreement
from kgrow.searching.estimating.calibration import kendall_tau


def by_counting(first, second):
    """Kendall's tau b from its definition: every pair of candidates is looked at."""
    pairs = list(itertools.combinations(range(len(first)), 2))
    signs = [(np.sign(first[i] - first[j]), np.sign(second[i] - second[j])) for i, j in pairs]
    agree = sum(a * b for a, b in signs)
    return agree / np.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [3, 5, 1000])
def test_tau_counts_pairs_with_and_without_ties(seed, levels):
    first, second = np.random.default_rng(seed).integers(0, levels, (2, 12)) / levels
    assert kendall_tau(first, second) == pytest.approx(by_counting(first, second))


@pytest.mark.parametrize(
    ("first", "second", "tau"),
    [
        ([1, 2, 3], [4, 5, 6], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 1], [1, 2], None),
        ([1], [1], None),
        ([], [], None),
    ],
)
def test_tau_of_orders_that_are_known(first, second, tau):
    assert kendall_tau(first, second) == tau


def test_agreement_is_said_in_a_line():
    found = {"estimator": "supernet", "kendall_tau": 0.714, "num_candidates": 10}
    assert agreement(found) == "approximate: supernet, Kendall tau 0.71 over 10 candidates"
    assert "not defined" in agreement(found | {"kendall_tau": None})
