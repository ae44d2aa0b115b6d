"""Amounts with units: what a command line writes as `2m` or `64KB`, a call in Python may too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kgrow._checks import check_number

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
LONGEST_S = 1e9


def parse_amount(text: str, units: Mapping[str, float]) -> float | None:
    """Returns the number of a text such as "64KB", in the smallest unit; None if it is no number with such a unit.

    Args:
        text: Digits, a decimal point among them, and a unit.
        units: What each unit is worth; the empty one stands for none.

    Example:
        >>> parse_amount("1.5 m", {"": 1, "m": 60}), parse_amount("3 feet", {"": 1})
        (90.0, None)
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    return float(match[1]) * units[match[2]] if match and match[2] in units else None


def check_seconds(value: Any, name: str) -> float:
    """Returns a time in seconds.

    Args:
        value: Number of seconds, or a text such as "90s", "10m" or "2h".
        name: Argument the message names.

    Raises:
        ValueError: If it is neither, or not positive, or too long for the clocks of a computer.

    Example:
        >>> check_seconds("2m", "max_time")
        120.0
    """
    seconds = parse_amount(value, SECONDS) if isinstance(value, str) else value
    try:
        return check_number(seconds, name, f"(0, {LONGEST_S:.0f}]")
    except ValueError:
        raise ValueError(
            f"`{name}` must be a positive number of seconds, or a time such as '90s', '10m' or '2h', but got {value!r}."
        ) from None
