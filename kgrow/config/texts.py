"""Conversion of command-line texts to values; the rules of the fields check the ranges."""

from __future__ import annotations

import argparse


def whole(text: str) -> int:
    """Parses a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, but got {text!r}") from None


def numbers(text: str) -> float | tuple[float, ...]:
    """Parses `0.5` or `0.8,0.7,0.6`."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or numbers joined by commas, but got {text!r}") from None
    return values if "," in text else values[0]
