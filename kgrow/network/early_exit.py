"""Early exit: which head answers, what that costs, and where depth does harm. NumPy only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow._checks import lookup

FALLBACKS = ("most_confident", "last")
THRESHOLDS = (0.1, 0.15, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
ALL_THRESHOLDS = (*(step / 100 for step in range(100)), 1.01)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class ExitRule:
    """Which head answers: the first whose largest probability reaches a threshold.

    Args:
        threshold: Smallest confidence to leave with, 0 or more; above 1 no head leaves early.
        fallback: Which answers if none reaches it: `"most_confident"` as in Shallow-Deep Networks, or `"last"`.
    """

    threshold: float
    fallback: str = "most_confident"

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < float("inf"):
            raise ValueError(
                f"`threshold` must be a confidence, 0 or more, but got {self.threshold!r}. Above 1 no image leaves."
            )
        lookup(dict.fromkeys(FALLBACKS), self.fallback, "fallback")


def answering_head(
    logits: np.ndarray, threshold: float, fallback: str = "most_confident"
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which head answers each image, and how many heads were evaluated for it.

    Args:
        logits: (heads, num_images, num_classes).
        threshold: See `ExitRule`.
        fallback: See `ExitRule`.

    Returns:
        Two int arrays (num_images,): the head's index in [0, heads - 1], the number evaluated in [1, heads].
    """
    confidence = softmax(logits).max(axis=-1)
    reached = confidence >= threshold
    otherwise = confidence.argmax(axis=0) if fallback == "most_confident" else len(logits) - 1
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
        correct, cost = _outcomes(logits, labels, macs, ExitRule(threshold, fallback))
        points.append(ExitPoint(float(threshold), float(np.mean(correct)), float(np.mean(cost))))
    return points


def _outcomes(
    logits: np.ndarray, labels: np.ndarray, macs: Sequence[int], rule: ExitRule
) -> tuple[np.ndarray, np.ndarray]:
    """Returns per image whether the answer is right, and what it costs."""
    head, evaluated = answering_head(logits, rule.threshold, rule.fallback)
    answers = logits.argmax(axis=-1)[head, np.arange(len(labels))]
    return answers == labels, np.asarray(macs, np.float64)[evaluated - 1]


def choose_rule(
    logits: np.ndarray,
    labels: np.ndarray,
    macs: Sequence[int],
    max_loss: float,
    max_macs: float | None = None,
    thresholds: Sequence[float] = ALL_THRESHOLDS,
    fallbacks: Sequence[str] = FALLBACKS,
) -> ExitRule:
    """Returns the best rule on the given images, which should be those of the validation split.

    What a rule loses is counted image by image against the last head alone, and one standard error more: the cheapest
    of many rules that keep within a loss on these images would lose more on others.

    Args:
        logits: (heads, num_images, num_classes).
        labels: (num_images,).
        macs: Cost of stopping after each head.
        max_loss: Accuracy that may be lost, in [0, 1]: the cheapest such rule is chosen, or the one that loses least if
            all lose more.
        max_macs: Mean cost that must not be exceeded, in place of `max_loss`: the most accurate such rule is chosen.
        thresholds: Confidences to choose from.
        fallbacks: To choose from.

    Raises:
        ValueError: If not even leaving at the first head is as cheap as `max_macs`.
    """
    full = logits[-1].argmax(axis=-1) == labels
    losses, costs = {}, {}
    for rule in (ExitRule(threshold, fallback) for fallback in fallbacks for threshold in thresholds):
        correct, cost = _outcomes(logits, labels, macs, rule)
        lost = full.astype(np.float64) - correct
        losses[rule], costs[rule] = float(lost.mean()), float(cost.mean())
        if max_macs is None:
            losses[rule] += float(lost.std()) / len(labels) ** 0.5
    if max_macs is not None:
        cheap = [rule for rule, cost in costs.items() if cost <= max_macs]
        if not cheap:
            raise ValueError(f"`max_macs` must be at least {macs[0]}, the cost of the first head, but got {max_macs}.")
        return min(cheap, key=lambda rule: (losses[rule], costs[rule]))
    allowed = max(max_loss, min(losses.values()))
    return min((rule for rule in losses if losses[rule] <= allowed), key=lambda rule: (costs[rule], losses[rule]))


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
