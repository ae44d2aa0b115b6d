"""Tests of kinds that JSON values are held against."""

import dataclasses
from typing import Any

import pytest

from kgrow._schema import decoded, fields_of, is_nested


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0
    names: tuple[str, ...] = ()
    inner: "Point | None" = None

    def __post_init__(self):
        if self.x < 0:
            raise ValueError("`x` must not be negative.")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (str, "a", "a"),
        (int, 3, 3),
        (float, 3, 3),
        (bool, False, False),
        (dict, {"a": 1}, {"a": 1}),
        (Any, [{}], [{}]),
        ((float, None), None, None),
        (float | None, 2.5, 2.5),
        ((int, tuple[int, int], None), [3, 4], (3, 4)),
        ([int], [], []),
        (tuple[int, ...], [1, 2], (1, 2)),
        (dict[str, int | str], {"a": 1, "b": "c"}, {"a": 1, "b": "c"}),
        ({"a": int}, {"a": 1, "more": []}, {"a": 1, "more": []}),
        (Point, {"x": 1, "names": ["a"], "inner": {"x": 2}}, Point(1, names=("a",), inner=Point(2))),
    ],
)
def test_value_of_its_kind_is_taken(kind, value, expected):
    assert decoded(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (str, 3, "It must be a string, but got 3."),
        (int, True, "It must be an integer, but got True."),
        (int, 2.0, "It must be an integer, but got 2.0."),
        (float, False, "It must be a finite number, but got False."),
        (float, float("inf"), "It must be a finite number, but got inf."),
        (float, 10**400, "It must be a finite number, but got 1000"),
        ((float, None), "a", "It must be a finite number or null, but got 'a'."),
        ((int, tuple[int, int], None), [3], "It must be a list of 2, but got [3]."),
        ({"a": {"b": [int]}}, {"a": {"b": [1, "c"]}}, "`a.b[1]` must be an integer, but got 'c'."),
        ({"a": {"b": int}}, {"a": {}}, "`a.b` must be given, but is missing."),
        ({"a": int}, [], "It must be an object, but got []."),
        (dict[str, int], {"a": None}, "`a` must be an integer, but got None."),
        (Point, {"y": 1.0}, "`x` must be given, but is missing."),
        (Point, {"x": 1, "z": 2}, "`z` must be left out: there is no such field."),
        (Point, {"x": 1, "inner": {"x": -1}}, "`inner` cannot be: `x` must not be negative."),
        (Point, None, "It must be an object, but got None."),
    ],
)
def test_value_of_another_kind_is_refused_with_its_field(kind, value, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        decoded(kind, value)
    assert str(caught.value).startswith(message)


def test_no_field_of_a_dataclass_is_left_out():
    with pytest.raises(ValueError, match="`y` must be given"):
        decoded(fields_of(Point), {"x": 1})


def test_levels_are_counted_without_recursion():
    value = []
    for _ in range(5_000):
        value = [value, {"a": 1}]
    assert is_nested(value, 100)
    assert not is_nested([[{"a": [1]}]], 5)  # four lists and objects, and what is in the innermost
    assert is_nested([[{"a": [1]}]], 4)
