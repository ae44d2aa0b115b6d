"""Early exit: which head answers, what that costs, and where depth does harm. NumPy only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

THRESHOLDS = (0.1, 0.15, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def answering_head(logits: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns which head answers each image, and how many heads were evaluated for it.

    The first head whose largest probability reaches the threshold answers; if none does, the most confident one,
    after all have been evaluated.

    Args:
        logits: (heads, num_images, num_classes).
        threshold: Smallest confidence to leave with; above 1 no head leaves early.

    Returns:
        Two int arrays (num_images,): the head's index in [0, heads - 1], the number evaluated in [1, heads].
    """
    confidence = softmax(logits).max(axis=-1)
    reached = confidence >= threshold
    first = np.where(reached.any(axis=0), reached.argmax(axis=0), confidence.argmax(axis=0))
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
    logits: np.ndarray, labels: np.ndarray, macs: Sequence[int], thresholds: Sequence[float] = THRESHOLDS
) -> list[ExitPoint]:
    """Returns accuracy and mean cost over thresholds.

    Args:
        logits: (heads, num_images, num_classes).
        labels: (num_images,).
        macs: Cost of stopping after each head: `Architecture.macs(head, early_exit=True)`.
        thresholds: Confidences to try.
    """
    points = []
    for threshold in thresholds:
        head, evaluated = answering_head(logits, threshold)
        answers = logits.argmax(axis=-1)[head, np.arange(len(labels))]
        cost = np.asarray(macs, np.float64)[evaluated - 1]
        points.append(ExitPoint(float(threshold), float(np.mean(answers == labels)), float(cost.mean())))
    return points


def choose_threshold(
    logits: np.ndarray, labels: np.ndarray, macs: Sequence[int], max_loss: float, max_macs: float | None = None
) -> ExitPoint:
    """Returns the best of a hundred thresholds on the given images, which should be those of the validation split.

    Args:
        logits: (heads, num_images, num_classes).
        labels: (num_images,).
        macs: Cost of stopping after each head.
        max_loss: Accuracy that may be lost against never leaving early, in [0, 1]: the cheapest such threshold is
            chosen.
        max_macs: Mean cost that must not be exceeded, in place of `max_loss`: the most accurate such threshold is
            chosen.

    Raises:
        ValueError: If not even leaving at the first head is as cheap as `max_macs`.
    """
    never = 1.01
    curve = exit_curve(logits, labels, macs, [*np.arange(0.0, 1.0, 0.01), never])
    if max_macs is None:
        accurate = [point for point in curve if point.accuracy >= curve[-1].accuracy - max_loss]
        return min(accurate, key=lambda point: (point.mean_macs, -point.accuracy))
    cheap = [point for point in curve if point.mean_macs <= max_macs]
    if not cheap:
        raise ValueError(f"`max_macs` must be at least {macs[0]}, the cost of the first head, but got {max_macs}.")
    return max(cheap, key=lambda point: (point.accuracy, -point.mean_macs))


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
