"""Estimates of candidates' accuracy at a lower cost than training: approximate, except for `full`."""

from kgrow.registry import ESTIMATORS
from kgrow.searching.estimating.estimator import Estimate, EstimationContext, Estimator
from kgrow.searching.estimating.evidence import Evidence
from kgrow.searching.estimating.extrapolation import Extrapolation
from kgrow.searching.estimating.full import Full
from kgrow.searching.estimating.halving import Halving
from kgrow.searching.estimating.low_fidelity import LowFidelity
from kgrow.searching.estimating.supernet import Supernet

# Part of the allowed time for estimates: the rest is for the candidates that are trained in full.
ESTIMATING_SHARE = 0.5

__all__ = [
    "ESTIMATORS",
    "Estimate",
    "EstimationContext",
    "Estimator",
    "Evidence",
    "Extrapolation",
    "Full",
    "Halving",
    "LowFidelity",
    "Supernet",
    "chosen_estimator",
    "name_of",
    "searching_share",
]


def chosen_estimator(estimator: str | Estimator, calibrate: bool) -> Estimator:
    """Returns the estimator of a search.

    Args:
        estimator: Name in `ESTIMATORS`, or an estimator.
        calibrate: Whether its estimates are compared with full training.

    Raises:
        ValueError: If there is nothing to compare.
    """
    chosen = ESTIMATORS[estimator] if isinstance(estimator, str) else estimator
    if calibrate and isinstance(chosen, Full):
        names = " or ".join(repr(name) for name in ESTIMATORS if name != "full")
        raise ValueError(
            f"`tuning.calibrate` must come with an approximate estimator, such as {names}, but got 'full'."
        )
    return chosen


def searching_share(estimator: Estimator) -> float:
    """Returns the fraction of the allowed time for the search; the rest is for training the best candidates in full."""
    return 1.0 if isinstance(estimator, Full) else ESTIMATING_SHARE


def name_of(estimator: Estimator) -> str:
    """Returns the name in `ESTIMATORS`, or the constructor call of an estimator with other arguments."""
    return next((name for name, known in ESTIMATORS.items() if known == estimator), repr(estimator))
