"""Tests of the Pareto front against its definition by brute force."""

from hypothesis import given
from hypothesis import strategies as st

from kgrow.searching.pareto import pareto_front

POINTS = st.lists(st.tuples(st.none() | st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=12)


def named(points):
    return [{"mean_val_accuracy": accuracy, "kept_params": kept, "macs": macs} for accuracy, kept, macs in points]


@given(points=POINTS)
def test_front_is_what_nothing_dominates(points):
    front = pareto_front(named(points), ("kept_params", "macs"))
    values = {points[index] for index in front}
    assert len(values) == len(front)  # of equal points one
    for accuracy, kept, macs in (point for point in points if point[0] is not None):
        dominated = any(
            a is not None and a >= accuracy and k <= kept and m <= macs and (a, k, m) != (accuracy, kept, macs)
            for a, k, m in points
        )
        assert ((accuracy, kept, macs) in values) != dominated


@given(points=POINTS)
def test_the_most_accurate_comes_first(points):
    accuracies = [points[index][0] for index in pareto_front(named(points), ("kept_params", "macs"))]
    assert accuracies == sorted(accuracies, reverse=True)
