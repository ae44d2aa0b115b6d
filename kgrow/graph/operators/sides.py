"""Sides of a map after a window was moved over it."""

from __future__ import annotations


def reduced(size: int, stride: int) -> int:
    """Returns a side after a convolution or a pool with SAME padding."""
    return -(-size // stride)


def windowed(size: int, window: int, stride: int, padding: str) -> int:
    """Returns a side after a window was moved over it.

    Raises:
        ValueError: If the window does not fit.
    """
    if padding == "same":
        return reduced(size, stride)
    if size < window:
        raise ValueError(f"a window of {window} does not fit into a side of {size}")
    return (size - window) // stride + 1
