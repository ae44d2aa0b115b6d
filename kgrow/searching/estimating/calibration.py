"""How far an estimator can be trusted: the rank correlation of its estimates with full training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scipy.stats import kendalltau

from kgrow.searching.estimating.estimates import Estimates

# Fewer say little: of four candidates one order in 24 is perfect by luck.
NUM_CANDIDATES = 10


def calibration_of(estimates: Estimates, name: str, deadline: float = float("inf")) -> dict[str, Any]:
    """Trains the first candidates in full and compares them with their estimates.

    The first, not the best: among the best alone the order is the hardest to tell.

    Args:
        estimates: Of a search that has ended.
        name: What the estimator is called.
        deadline: `time.monotonic()` after which no epoch is started.

    Returns:
        `estimator`, `kendall_tau` (None if it is not defined), `num_candidates` and `candidates[]` with `trial`,
        `estimated_val_accuracy` and `val_accuracy`.
    """
    pairs: list[tuple[str, float, float]] = []
    for index, found in estimates.found.items():
        if len(pairs) == NUM_CANDIDATES:
            break
        if found.val_accuracy is None or found.same_as is not None or found.status == "stopped":
            continue
        trial = estimates.train_in_full(index, deadline)
        if trial.status == "stopped":
            break
        if trial.val_accuracy is not None:
            pairs.append((found.trial, found.val_accuracy, trial.val_accuracy))
    return {
        "estimator": name,
        "kendall_tau": kendall_tau([pair[1] for pair in pairs], [pair[2] for pair in pairs]),
        "num_candidates": len(pairs),
        "candidates": [
            dict(zip(("trial", "estimated_val_accuracy", "val_accuracy"), pair, strict=True)) for pair in pairs
        ],
    }


def kendall_tau(estimated: Sequence[float], trained: Sequence[float]) -> float | None:
    r"""Returns the rank correlation of estimated with full accuracies, in [-1, 1], ties counted by :math:`\tau_b`.

    Args:
        estimated: Of each candidate.
        trained: Of the same candidates.

    Returns:
        The share of pairs in the same order less that of pairs in the opposite one; None for fewer than two
        candidates, or if all of either are equal.

    References:
        Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945.
    """
    if len(set(estimated)) < 2 or len(set(trained)) < 2:
        return None
    tau = float(kendalltau(estimated, trained).statistic)
    return None if math.isnan(tau) else tau
