"""Confidence intervals of accuracies, and tests whether two networks differ by more than chance."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binomtest

Z_95 = 1.959964
# Two networks differ if chance alone would produce such a difference in fewer than one of twenty cases.
SIGNIFICANCE = 0.05


def interval(accuracy: float, num_examples: int, z: float = Z_95) -> tuple[float, float]:
    """Returns the Wilson interval of an accuracy: its plausible values on other images of the same kind.

    Args:
        accuracy: Fraction of correct answers, in [0, 1].
        num_examples: Number of classified images.
        z: Half width in standard errors; a 95 % interval by default.

    References:
        Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927.

    Example:
        >>> low, high = interval(25 / 45, 45)
        >>> round(low, 3), round(high, 3)
        (0.412, 0.691)
    """
    squared = z * z / num_examples
    center = accuracy + squared / 2
    half = z * math.sqrt(accuracy * (1 - accuracy) / num_examples + squared / (4 * num_examples))
    # Rounding must not push an end beyond the accuracy itself, as it may at 0 and at 1.
    return max(0.0, min(accuracy, (center - half) / (1 + squared))), min(
        1.0, max(accuracy, (center + half) / (1 + squared))
    )


def p_value(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the probability of so large a difference between two networks of equal accuracy: McNemar's exact test.

    Args:
        first: Whether the first network classifies each image correctly, bool (num_images,).
        second: Whether the second network does, for the same images.

    References:
        McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12, 1947.
    """
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    total = only_first + only_second
    return float(binomtest(only_first, total).pvalue) if total else 1.0
