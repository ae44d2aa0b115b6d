"""Early exit: which head answers, the cost of that, and where depth reduces accuracy. NumPy only."""

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
    """The rule for the answering head: the first whose largest probability reaches its threshold.

    Args:
        threshold: Smallest confidence to exit with, 0 or more, of all heads or of each before the last; above 1 no
            image exits early.
        fallback: Head that answers if none reaches it: `"most_confident"` as in Shallow-Deep Networks, or `"last"`.
            With a threshold per head it must be `"last"`: a head above its threshold may be less confident than one
            before it.
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
        """Returns the threshold of every head before the last.

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
    """Returns one threshold or several as plain floats; accepts arrays and other number types."""
    try:
        given = np.asarray(threshold)
        values = given.astype(np.float64) if given.dtype.kind in "uif" else np.array(np.nan)
    except ValueError:  # lists of different lengths
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
        logits: Logits, (heads, num_images, num_classes).
        rule: Exit rule.

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
    """The result of one threshold.

    Args:
        threshold: Smallest confidence to exit with.
        accuracy: Accuracy, in [0, 1].
        mean_macs: Mean multiply-accumulates per image, including every head evaluated on the way.
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
        logits: Logits, (heads, num_images, num_classes).
        labels: Labels, (num_images,).
        macs: Cost of stopping after each head: `Architecture.macs(head, passing=...)`.
        thresholds: Confidences to try.
        fallback: Fallback head; see `ExitRule`.
    """
    points = []
    for threshold in thresholds:
        correct, cost = outcomes(logits, labels, macs, ExitRule(threshold, fallback))
        points.append(ExitPoint(float(threshold), float(np.mean(correct)), float(np.mean(cost))))
    return points


def outcomes(
    logits: np.ndarray, labels: np.ndarray, macs: Sequence[int], rule: ExitRule
) -> tuple[np.ndarray, np.ndarray]:
    """Returns per image whether the answer is correct, and its cost; see `exit_curve`."""
    head, evaluated = answering_head(logits, rule)
    answers = logits.argmax(axis=-1)[head, np.arange(len(labels))]
    return answers == labels, np.asarray(macs, np.float64)[evaluated - 1]


@dataclasses.dataclass(frozen=True)
class Overthinking:
    """The cases in which the last head is not needed, or is wrong while an earlier one was correct.

    Args:
        cumulative_accuracy: Fraction of images per head that it or an earlier head classifies correctly.
        wasteful_macs: Mean cost per image if each exits at its first correct head; images that no head before the last
            classifies correctly cost the whole network.
        destructive: Fraction of images that an earlier head classifies correctly and the last one does not.
    """

    cumulative_accuracy: tuple[float, ...]
    wasteful_macs: float
    destructive: float


def overthinking(logits: np.ndarray, labels: np.ndarray, macs: Sequence[int]) -> Overthinking:
    """Measures overthinking (Kaya, Hong and Dumitras, ICML 2019, sections 3 and 5).

    Args:
        logits: Logits, (heads, num_images, num_classes).
        labels: Labels, (num_images,).
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

    The value is 0 if all agree exactly, and at most 2 (heads - 1). Standardize it with the mean and standard deviation
    of the training split to compare images (Kaya, Hong and Dumitras, ICML 2019, section 5.3).

    Args:
        logits: Logits, (heads, num_images, num_classes).

    Returns:
        Disagreement, (num_images,), non-negative.
    """
    probabilities = softmax(logits.astype(np.float64))
    return np.abs(probabilities[-1] - probabilities).sum(axis=(0, 2))
