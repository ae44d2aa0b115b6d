"""Tests of what is tried, and of limits that leave out candidates before anything is trained."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.pruning import SCOPES, kept_params
from kgrow.searching import SPACES, Candidate
from kgrow.searching.fixed import candidates
from kgrow.searching.limits import LimitError, Limits

SPACE = SPACES["seed_dense"]
DENSE = SPACE.build((32, 32, 3), 10)
SIZE = 169_392


def tried(keep_ratio=None, params=None, scope="block"):
    return list(candidates(SPACE, DENSE, keep_ratio, Limits(params), scope))


def test_without_a_ratio_three_uniform_ones_are_tried():
    assert tried() == [Candidate(DENSE, (ratio,) * 4) for ratio in (0.5, 0.35, 0.25)]


@pytest.mark.parametrize(("given", "ratios"), [(0.4, (0.4,) * 4), (1, (1.0,) * 4), ([0.4, 0.3, 0.2, 0.1],) * 2])
def test_given_ratios_are_the_only_candidate(given, ratios):
    assert tried(given) == [Candidate(DENSE, tuple(ratios))]


# Limits


def test_fixed_set_starts_at_the_limit():
    found = tried(params=20_000)
    kept = [kept_params(DENSE, candidate.keep_ratios) for candidate in found]
    assert len(found) == 3
    assert kept == sorted(kept, reverse=True)
    assert 0.99 * 20_000 < kept[0] <= 20_000


def test_limit_above_the_default_set_changes_nothing():
    assert tried(params=SIZE) == tried()


@pytest.mark.parametrize("scope", SCOPES)
@given(params=st.integers(200, 2 * SIZE))
def test_every_candidate_is_within_the_limit_and_there_always_is_one(scope, params):
    found = tried(params=params, scope=scope)
    assert found
    assert all(kept_params(DENSE, candidate.keep_ratios, scope) <= params for candidate in found)


def test_exact_limit_is_allowed():
    kept = kept_params(DENSE, (0.5,) * 4)
    assert len(tried(0.5, params=kept)) == 1
    with pytest.raises(LimitError):
        tried(0.5, params=kept - 1)


def test_excluded_ratio_is_answered_with_the_nearest_one_that_fits():
    with pytest.raises(LimitError) as caught:
        tried(0.5, params=20_000)
    message = str(caught.value)
    assert "params <= 20000 excludes all 1: the smallest keeps 84696 of 169392" in message
    nearest = float(message.removesuffix(".").rsplit(" ", 1)[1])
    assert 0.99 * 20_000 < kept_params(DENSE, (nearest,) * 4) <= 20_000


def test_limit_below_the_smallest_ratio_says_so():
    with pytest.raises(LimitError, match="must leave at least 1 in 10 000 of 169392 connections, but params <= 10"):
        tried(params=10)


@pytest.mark.parametrize("params", [0, -5, 2.5])
def test_limit_that_is_no_count_is_refused(params):
    with pytest.raises(ValueError, match="`params` must be a positive integer, but got"):
        Limits(params)


# Bad ratios


@pytest.mark.parametrize("ratio", [35, 0.0, -0.1, float("nan"), [0.5, 35, 0.5, 0.5]])
def test_ratio_that_is_no_fraction_is_explained(ratio):
    with pytest.raises(ValueError, match=r"must be in \(0, 1\], but got .*It is the fraction of weights kept"):
        tried(ratio)


@pytest.mark.parametrize("ratios", [(), (0.5,), (0.5, 0.5, 0.5), (0.5,) * 5])
def test_wrong_number_of_ratios_is_explained(ratios):
    with pytest.raises(
        ValueError, match=r"`keep_ratio` must be one number or one for each of the 4 blocks, but got \("
    ):
        tried(ratios)


def test_candidate_checks_its_own_ratios():
    with pytest.raises(ValueError, match="must hold one ratio per block, but got 2 ratios for 4 blocks"):
        Candidate(DENSE, (0.5, 0.5))
    with pytest.raises(ValueError, match=r"`keep_ratio` must be in \(0, 1\], but got 35"):
        Candidate(DENSE, (0.5, 0.5, 0.5, 35))
