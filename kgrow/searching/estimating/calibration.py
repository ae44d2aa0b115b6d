"""Calibration of an estimator: the rank correlation of its estimates with full training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scipy.stats import kendalltau

from kgrow.searching.estimating.estimates import Estimates

# Fewer are not informative: for four candidates one order in 24 is perfect by chance.
NUM_CANDIDATES = 10


def calibration_of(estimates: Estimates, name: str, deadline: float = float("inf")) -> dict[str, Any]:
    """Trains the first candidates in full and compares them with their estimates.

    It uses the first ones, not the best: among the best the order is hardest to determine.

    Args:
        estimates: Estimates of a finished search.
        name: Name of the estimator.
        deadline: `time.monotonic()` value after which no epoch is started.

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
        estimated: Estimated accuracy of each candidate.
        trained: Accuracy of the same candidates after full training.

    Returns:
        The fraction of pairs in the same order minus that of pairs in the opposite order; None for fewer than two
        candidates, or if all of either are equal.

    References:
        Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945.
    """
    if len(set(estimated)) < 2 or len(set(trained)) < 2:
        return None
    tau = float(kendalltau(estimated, trained).statistic)
    return None if math.isnan(tau) else tau
