"""How accurate candidates will be, for less than their training costs: approximate, unless it is `full`."""

from typing import Any

from kgrow._rules import name_or_instance
from kgrow.searching.estimating.estimator import Bench, Estimate, Estimator
from kgrow.searching.estimating.evidence import Evidence
from kgrow.searching.estimating.extrapolation import Extrapolation
from kgrow.searching.estimating.full import Full
from kgrow.searching.estimating.halving import Halving
from kgrow.searching.estimating.low_fidelity import LowFidelity
from kgrow.searching.estimating.supernet import Supernet

# Of the time allowed, what estimates may take: the rest is for the candidates that are trained in full.
ESTIMATING_SHARE = 0.5
# By the name used on the command line.
ESTIMATORS: dict[str, Estimator] = {"full": Full(), "halving": Halving()}
# Those that no bench has shown to rank candidates as full training does, at a lower price: for Python alone.
EXPERIMENTAL: dict[str, Estimator] = {
    "low_fidelity": LowFidelity(),
    "supernet": Supernet(),
    "extrapolation": Extrapolation(),
    "evidence": Evidence(),
}

__all__ = [
    "ESTIMATORS",
    "EXPERIMENTAL",
    "Bench",
    "Estimate",
    "Estimator",
    "Evidence",
    "Extrapolation",
    "Full",
    "Halving",
    "LowFidelity",
    "Supernet",
    "check_estimator",
    "chosen_estimator",
    "name_of",
    "searching_share",
]


def check_estimator(value: Any, name: str) -> Estimator:
    """Returns an estimator, by its name if it has one.

    Raises:
        ValueError: If it is none, or one whose name alone does not do.
    """
    if isinstance(value, str) and value in EXPERIMENTAL:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, ESTIMATORS))}, but got {value!r}, which is experimental: no "
            "bench has shown that it ranks candidates as full training does. In Python pass "
            f"`kgrow.searching.estimating.{EXPERIMENTAL[value]!r}`."
        )
    named = name_or_instance(ESTIMATORS, Estimator)(value, name)
    return ESTIMATORS[named] if isinstance(named, str) else named


def chosen_estimator(estimator: str | Estimator, calibrate: bool) -> Estimator:
    """Returns the estimator of a search.

    Args:
        estimator: A name in `ESTIMATORS`, or an estimator.
        calibrate: Whether its estimates are to be compared with full training.

    Raises:
        ValueError: If it is neither, or there is nothing to compare.
    """
    chosen = check_estimator(estimator, "estimator")
    if calibrate and isinstance(chosen, Full):
        names = " or ".join(repr(name) for name in ESTIMATORS if name != "full")
        raise ValueError(f"`calibrate` must come with an approximate estimator, such as {names}, but got 'full'.")
    return chosen


def searching_share(estimator: Estimator) -> float:
    """Returns the part of the time allowed that a search may take; the rest is for training the best in full."""
    return 1.0 if isinstance(estimator, Full) else ESTIMATING_SHARE


def name_of(estimator: Estimator) -> str:
    """Returns the name in `ESTIMATORS`, or how an estimator with other arguments is made."""
    return next((name for name, known in ESTIMATORS.items() if known == estimator), repr(estimator))
