"""Early exit: which head answers, what that costs, and where depth does harm. NumPy only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._checks import lookup

FALLBACKS = ("most_confident", "last")
THRESHOLDS = (0.1, 0.15, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class ExitRule:
    """Which head answers: the first whose largest probability reaches its threshold.

    Args:
        threshold: Smallest confidence to leave with, 0 or more, of all heads or of each before the last; above 1 no
            image leaves.
        fallback: Which answers if none reaches it: `"most_confident"` as in Shallow-Deep Networks, or `"last"`. With a
            threshold per head it must be `"last"`: a head that is sure enough may be less sure than one before it.
    """

    threshold: float | Sequence[float]
    fallback: str = "most_confident"

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", _confidences(self.threshold))
        lookup(dict.fromkeys(FALLBACKS), self.fallback, "fallback")
        if isinstance(self.threshold, tuple) and self.fallback != "last":
            raise ValueError(
                f"`fallback` must be 'last' with a `threshold` per head, but got {self.fallback!r} with "
                f"{self.threshold}."
            )

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        threshold = list(self.threshold) if isinstance(self.threshold, tuple) else self.threshold
        return {"threshold": threshold, "fallback": self.fallback}

    def thresholds(self, num_heads: int) -> list[float]:
        """Returns that of every head before the last.

        Raises:
            ValueError: If the rule is for another number of heads.
        """
        if not isinstance(self.threshold, Sequence):
            return [self.threshold] * (num_heads - 1)
        if len(self.threshold) != num_heads - 1:
            raise ValueError(
                f"`threshold` must be one confidence, or one for each of the {num_heads - 1} heads before the last, "
                f"but got {self.threshold}."
            )
        return list(self.threshold)


def _confidences(threshold: Any) -> float | tuple[float, ...]:
    """Returns one threshold or several, arrays and other numbers too, as plain floats."""
    try:
        given = np.asarray(threshold)
        values = given.astype(np.float64) if given.dtype.kind in "uif" else np.array(np.nan)
    except ValueError:  # lists of several lengths
        values = np.array(np.nan)
    if values.ndim > 1 or not np.all((values >= 0) & (values < np.inf)):
        raise ValueError(
            f"`threshold` must be a confidence, 0 or more, or one per head, but got {threshold!r}. Above 1 no image "
            "leaves."
        )
    return tuple(values.tolist()) if values.ndim else float(values)


def answering_head(logits: np.ndarray, rule: ExitRule) -> tuple[np.ndarray, np.ndarray]:
    """Returns which head answers each image, and how many heads were evaluated for it.

    Args:
        logits: (heads, num_images, num_classes).
        rule: Decides it.

    Returns:
        Two int arrays (num_images,): the head's index in [0, heads - 1], the number evaluated in [1, heads].
    """
    confidence = softmax(logits).max(axis=-1)
    reached = confidence >= np.array([*rule.thresholds(len(logits)), np.inf])[:, np.newaxis]
    otherwise = confidence.argmax(axis=0) if rule.fallback == "most_confident" else len(logits) - 1
    first = np.where(reached.any(axis=0), reached.argmax(axis=0), otherwise)
    evaluated = np.where(reached.any(axis=0), first + 1, len(logits))
    return first, evaluated


@dataclasses.dataclass(frozen=True)
class ExitPoint:
    """What one threshold gives.

    Args:
        threshold: Smallest confidence to leave with.
        accuracy: In [0, 1].
        mean_macs: Multiply-accumulates per image on average, every head evaluated on the way included.
    """

    threshold: float
    accuracy: float
    mean_macs: float


def exit_curve(
    logits: np.ndarray,
    labels: np.ndarray,
    macs: Sequence[int],
    thresholds: Sequence[float] = THRESHOLDS,
    fallback: str = "most_confident",
) -> list[ExitPoint]:
    """Returns accuracy and mean cost over thresholds.

    Args:
        logits: (heads, num_images, num_classes).
        labels: (num_images,).
        macs: Cost of stopping after each head: `Architecture.macs(head, passing=...)`.
        thresholds: Confidences to try.
        fallback: See `ExitRule`.
    """
    points = []
    for threshold in thresholds:
        correct, cost = outcomes(logits, labels, macs, ExitRule(threshold, fallback))
        points.append(ExitPoint(float(threshold), float(np.mean(correct)), float(np.mean(cost))))
    return points


def outcomes(
    logits: np.ndarray, labels: np.ndarray, macs: Sequence[int], rule: ExitRule
) -> tuple[np.ndarray, np.ndarray]:
    """Returns per image whether the answer is right, and what it costs; see `exit_curve`."""
    head, evaluated = answering_head(logits, rule)
    answers = logits.argmax(axis=-1)[head, np.arange(len(labels))]
    return answers == labels, np.asarray(macs, np.float64)[evaluated - 1]


@dataclasses.dataclass(frozen=True)
class Overthinking:
    """Where the last head is not needed, or wrong where an earlier one was right.

    Args:
        cumulative_accuracy: Per head: fraction of images that it or an earlier head classifies correctly.
        wasteful_macs: Mean cost per image if each left at its first correct head; images that none before the last
            gets right cost the whole network.
        destructive: Fraction that an earlier head gets right and the last one wrong.
    """

    cumulative_accuracy: tuple[float, ...]
    wasteful_macs: float
    destructive: float


def overthinking(logits: np.ndarray, labels: np.ndarray, macs: Sequence[int]) -> Overthinking:
    """Measures overthinking (Kaya, Hong and Dumitras, ICML 2019, sections 3 and 5).

    Args:
        logits: (heads, num_images, num_classes).
        labels: (num_images,).
        macs: Cost of stopping after each head.
    """
    correct = logits.argmax(axis=-1) == labels
    seen = np.logical_or.accumulate(correct, axis=0)
    early = seen[-2] if len(seen) > 1 else np.zeros(len(labels), bool)
    first = np.where(early, correct.argmax(axis=0), len(correct) - 1)
    return Overthinking(
        cumulative_accuracy=tuple(float(value) for value in seen.mean(axis=1)),
        wasteful_macs=float(np.asarray(macs, np.float64)[first].mean()),
        destructive=float(np.mean(early & ~correct[-1])),
    )


def confusion(logits: np.ndarray) -> np.ndarray:
    r"""Returns how much the heads disagree per image: :math:`\sum_i \|p_{top} - p_i\|_1`.

    0 where all agree exactly, at most 2 (heads - 1). Standardise it with the mean and standard deviation of the
    training split to compare images (Kaya, Hong and Dumitras, ICML 2019, section 5.3).

    Args:
        logits: (heads, num_images, num_classes).

    Returns:
        (num_images,), non-negative.
    """
    probabilities = softmax(logits.astype(np.float64))
    return np.abs(probabilities[-1] - probabilities).sum(axis=(0, 2))
