"""Intervals and paired comparisons against published figures and against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.uncertainty import interval, p_value


def test_interval_is_that_of_a_published_example():
    # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, 1998, table I.
    assert interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert interval(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert interval(0 / 20, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(right=st.integers(0, 60), total=st.integers(1, 60), z=st.floats(0.1, 4))
def test_interval_holds_its_accuracy_and_stays_within_0_and_1(right, total, z):
    accuracy = min(right, total) / total
    low, high = interval(accuracy, total, z)
    assert 0 <= low <= accuracy <= high <= 1
    assert high - low > 0


@given(answers=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_p_value_is_that_of_a_fair_coin_over_the_images_on_which_only_one_is_right(answers):
    first, second = (np.array(column) for column in zip(*answers, strict=True))
    only_first, only_second = sum(a and not b for a, b in answers), sum(b and not a for a, b in answers)
    total = only_first + only_second
    tail = sum(math.comb(total, k) for k in range(min(only_first, only_second) + 1)) / 2**total
    assert p_value(first, second) == pytest.approx(min(1.0, 2 * tail))
