"""Amounts with units, such as `2m` or `64KB`, for the command line and for Python calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kgrow._checks import check_number

SECONDS = {"s": 1, "m": 60, "h": 3600}
LONGEST_S = 1e9


def parse_amount(text: str, units: Mapping[str, float]) -> float | None:
    """Returns the number of a text such as "64KB", in the smallest unit; None if it is not a number with such a unit.

    Args:
        text: Digits with an optional decimal point, and a unit.
        units: Value of each unit; the empty one stands for no unit.

    Example:
        >>> parse_amount("1.5 m", {"": 1, "m": 60}), parse_amount("3 feet", {"": 1})
        (90.0, None)
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    return float(match[1]) * units[match[2]] if match and match[2] in units else None


def check_seconds(value: Any, name: str) -> float:
    """Returns a time in seconds.

    Args:
        value: Number of seconds, or a text with a unit, such as "90s", "10m" or "2h".
        name: Argument name used in the message.

    Raises:
        ValueError: If it is neither, is not positive, or is too long for a computer's clock.

    Example:
        >>> check_seconds("2m", "max_time")
        120.0
    """
    seconds = parse_amount(value, SECONDS) if isinstance(value, str) else value
    try:
        return check_number(seconds, name, f"(0, {LONGEST_S:.0f}]")
    except ValueError:
        raise ValueError(
            f"`{name}` must be a positive number of seconds, or a positive time with its unit, s, m or h, such as "
            f"'90s', '10m' or '2h', but got {value!r}."
        ) from None
