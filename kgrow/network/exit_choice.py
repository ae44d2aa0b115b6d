"""The choice of an exit rule on images that the network was not trained on. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kgrow.network.early_exit import FALLBACKS, ExitRule, outcomes, softmax

THRESHOLDS = (*(step / 100 for step in range(100)), 1.01)
# Value of a correct answer, in units of the cost of the whole network.
PRICES = np.geomspace(1, 1000, 31)
MAX_ROUNDS = 10


def choose_rule(
    logits: np.ndarray,
    labels: np.ndarray,
    macs: Sequence[int],
    rules: Sequence[ExitRule],
    max_loss: float,
    max_macs: float | None = None,
) -> ExitRule:
    """Returns the best of some rules on the given images, which should be those of the validation split.

    The loss of a rule is measured image by image against the last head alone, and one standard error is added. Without
    it, the cheapest of many rules within the allowed loss on these images would lose more on others.

    Args:
        logits: Logits, (heads, num_images, num_classes).
        labels: Labels, (num_images,).
        macs: Cost of stopping after each head.
        rules: Rules to choose from; see `candidates`.
        max_loss: Largest loss of accuracy, in [0, 1]. The cheapest such rule is chosen, or the one that loses least if
            all lose more.
        max_macs: Largest mean cost, instead of `max_loss`. The most accurate such rule is chosen.

    Raises:
        ValueError: If even an exit at the first head costs more than `max_macs`.

    References:
        The one-standard-error rule of Breiman et al., "Classification and Regression Trees", 1984.
    """
    full = logits[-1].argmax(axis=-1) == labels
    losses, costs = {}, {}
    for rule in rules:
        correct, cost = outcomes(logits, labels, macs, rule)
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


def candidates(
    logits: np.ndarray, labels: np.ndarray, macs: Sequence[int], fallbacks: Sequence[str] = FALLBACKS
) -> Iterator[ExitRule]:
    """Yields rules to try: one threshold for all heads, and a threshold per head for each of some prices.

    Args:
        logits: Logits, (heads, num_images, num_classes).
        labels: Labels, (num_images,).
        macs: Cost of stopping after each head.
        fallbacks: Fallbacks of the rules.

    References:
        Huang et al., "Multi-Scale Dense Networks for Resource Efficient Image Classification", ICLR 2018,
        https://arxiv.org/abs/1703.09844, with a threshold per classifier, set on validation images.
    """
    for fallback in fallbacks:
        for threshold in THRESHOLDS:
            yield ExitRule(threshold, fallback)
    if "last" in fallbacks and len(logits) > 2:
        confidence = softmax(logits).max(axis=-1)
        correct = logits.argmax(axis=-1) == labels
        relative = np.asarray(macs, np.float64) / macs[-1]
        for price in PRICES:
            yield ExitRule(_thresholds(confidence, relative[:, np.newaxis] - price * correct), "last")


def _thresholds(confidence: np.ndarray, burden: np.ndarray) -> tuple[float, ...]:
    """Returns a threshold per head such that no change of a single one is an improvement.

    Args:
        confidence: Confidence, (heads, num_images).
        burden: Cost of an answer of a head minus the value of a correct one, (heads, num_images). The sum over images
            is minimized.
    """
    choices = np.array(THRESHOLDS[::-1])  # among equals the highest
    limits = np.full(len(confidence) - 1, THRESHOLDS[-1])
    for _ in range(MAX_ROUNDS):
        before = limits.copy()
        following = burden[-1]  # of an image that does not exit here
        for head in reversed(range(len(limits))):
            inside = ~np.any(confidence[:head] >= limits[:head, np.newaxis], axis=0)
            gains = np.where(inside, following - burden[head], 0.0)
            order = np.argsort(confidence[head])
            # Gain of all images from a position in that order on.
            sums = np.append(np.cumsum(gains[order][::-1])[::-1], 0.0)
            limits[head] = choices[sums[np.searchsorted(confidence[head][order], choices)].argmax()]
            following = np.where(confidence[head] >= limits[head], burden[head], following)
        if np.array_equal(before, limits):
            break
    return tuple(float(limit) for limit in limits)
