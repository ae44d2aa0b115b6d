"""Tests of the argument checks."""

import math
import re

import numpy as np
import pytest

from kgrow._checks import check_keep_ratio, check_non_negative_int, check_positive_int, lookup, nearest

TABLE = {"compact": 1, "seed_dense": 2, "seed_plain": 3}


@pytest.mark.parametrize("value", [1, 1.0, 0.2, 1e-9, np.float32(0.5), np.int64(1)])
def test_keep_ratio_comes_back_as_a_plain_float(value):
    checked = check_keep_ratio(value)
    assert type(checked) is float
    assert checked == value


@pytest.mark.parametrize("value", [35, 0, 0.0, -0.1, 1.0001, math.nan, math.inf, True, "0.5", None, [0.5]])
def test_keep_ratio_outside_its_range_is_refused(value):
    with pytest.raises(ValueError, match=re.escape(f"`keep_ratio` must be in (0, 1], but got {value!r}.")):
        check_keep_ratio(value)


def test_keep_ratio_of_35_says_what_to_pass():
    with pytest.raises(ValueError, match="keep_ratios") as caught:
        check_keep_ratio(35, name="keep_ratios[2]")
    assert str(caught.value) == (
        "`keep_ratios[2]` must be in (0, 1], but got 35. It is the fraction of weights kept: for 80% sparsity pass 0.2."
    )


@pytest.mark.parametrize("value", [1, 128, np.int64(7), np.uint8(3)])
def test_positive_int_comes_back_as_a_plain_int(value):
    checked = check_positive_int(value, "epochs")
    assert type(checked) is int
    assert checked == value


@pytest.mark.parametrize("value", [0, -1, 2.0, 2.5, True, "3", None, math.nan])
def test_what_is_no_positive_int_is_refused(value):
    with pytest.raises(ValueError, match=re.escape(f"`epochs` must be a positive integer, but got {value!r}.")):
        check_positive_int(value, "epochs")


@pytest.mark.parametrize("value", [0, np.int64(0), 3])
def test_non_negative_int_comes_back_as_a_plain_int(value):
    checked = check_non_negative_int(value, "weight_epochs")
    assert type(checked) is int
    assert checked == value


@pytest.mark.parametrize("value", [-1, 0.0, False, "0", None])
def test_what_is_no_non_negative_int_is_refused(value):
    expected = f"`weight_epochs` must be 0 or a positive integer, but got {value!r}."
    with pytest.raises(ValueError, match=re.escape(expected)):
        check_non_negative_int(value, "weight_epochs")


@pytest.mark.parametrize(
    ("typed", "question"),
    [
        ("digit", "Did you mean 'digits'?"),
        ("MNIST", "Did you mean 'mnist'?"),
        ("cifar", "Did you mean 'cifar10'?"),
        ("zebra", ""),
        ("", ""),
    ],
)
def test_nearest_asks_only_for_similar_names(typed, question):
    assert nearest(typed, iter(["cifar10", "digits", "mnist"])) == question


def test_nearest_keeps_the_spelling_of_the_known_name():
    assert nearest("snip", ["SNIP", "Magnitude"]) == "Did you mean 'SNIP'?"


def test_lookup_returns_the_entry_even_when_it_is_false():
    assert lookup(TABLE, "seed_plain", "space") == 3
    assert lookup({"none": None}, "none", "space") is None


def test_lookup_lists_the_names_and_the_nearest():
    with pytest.raises(ValueError, match="space") as caught:
        lookup(TABLE, "compcat", "space")
    assert str(caught.value) == (
        "`space` must be one of 'compact', 'seed_dense', 'seed_plain', but got 'compcat'. Did you mean 'compact'?"
    )


@pytest.mark.parametrize("name", ["zzz", None, 3])
def test_lookup_asks_nothing_when_no_name_is_near(name):
    with pytest.raises(ValueError, match=re.escape(f"but got {name!r}.") + "$"):
        lookup(TABLE, name, "space")
