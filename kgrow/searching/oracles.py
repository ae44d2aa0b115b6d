"""Oracles by name: KerasTuner's algorithms that decide which candidate is tried next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kgrow._checks import check_name, check_positive_int
from kgrow._keras import quiet_stderr
from kgrow.registry import ORACLES
from kgrow.searching.objective import NAME

with quiet_stderr():
    import keras_tuner

# Random trials of the Bayesian oracle before it learns. The number does not depend on the total, so that a search can
# be extended later.
DRAWN_FIRST = 3


class _DefaultsFirst:
    """Tries the space's defaults before any drawn candidate, so that no search is worse than the defaults."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `keras_tuner.Oracle.populate_space`."""
        if not self.trials:  # type: ignore[attr-defined]
            defaults = {hp.name: hp.default for hp in self.hyperparameters.space}  # type: ignore[attr-defined]
            return {"status": "RUNNING", "values": defaults}
        return super().populate_space(trial_id)  # type: ignore[misc]


class _Random(_DefaultsFirst, keras_tuner.oracles.RandomSearchOracle):
    pass


class _Bayesian(_DefaultsFirst, keras_tuner.oracles.BayesianOptimizationOracle):
    """Learns from the proposed values, not from the trained ones.

    Trials contain the trained values, and a limit on connections may lower keep ratios far below the smallest proposed
    one. A Gaussian process trained on those would know nothing about the box in which it searches for the next point.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._proposed: dict[str, dict[str, Any]] = {}

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `keras_tuner.Oracle.populate_space`; draws at random if the optimum was already tried."""
        response = super().populate_space(trial_id)
        if response["status"] == "RUNNING" and response["values"] in self._proposed.values():
            response = self._random_populate_space()
        if response["status"] == "RUNNING":
            self._proposed[trial_id] = dict(response["values"])
        return response

    def _vectorize_trials(self) -> tuple[Any, Any]:
        trained = {number: trial.hyperparameters.values for number, trial in self.trials.items()}
        self._put(self._proposed)
        try:
            return super()._vectorize_trials()
        finally:
            self._put(trained)

    def _put(self, values: Mapping[str, dict[str, Any]]) -> None:
        for number, trial in self.trials.items():
            trial.hyperparameters.values = values[number]


def random(trials: int, common: dict[str, Any]) -> keras_tuner.Oracle:
    """Returns an oracle that draws at random."""
    return _Random(max_trials=trials, **common)


def bayesian(trials: int, common: dict[str, Any]) -> keras_tuner.Oracle:
    """Returns an oracle that learns from earlier trials."""
    return _Bayesian(max_trials=trials, num_initial_points=DRAWN_FIRST, **common)


def grid(trials: int, common: dict[str, Any]) -> keras_tuner.Oracle:
    """Returns an oracle that walks a grid."""
    return keras_tuner.oracles.GridSearchOracle(max_trials=trials, **common)


def check_oracle(oracle: Any, what: str = "oracle") -> None:
    """Raises ValueError unless it is the name of an oracle, or a new `keras_tuner.Oracle` that maximizes `NAME`."""
    if isinstance(oracle, str):
        check_name(ORACLES, oracle, what)
        return
    if isinstance(oracle, keras_tuner.oracles.HyperbandOracle):
        raise ValueError(
            f"`{what}` must not end trials early, but got {oracle!r}. Successive halving is the estimator 'halving', "
            "which goes with any oracle."
        )
    if not isinstance(oracle, keras_tuner.Oracle):
        raise ValueError(
            f"`{what}` must be one of {', '.join(map(repr, ORACLES))} or a keras_tuner.Oracle, but got {oracle!r}."
        )
    if (oracle.objective.name, oracle.objective.direction) != (NAME, "max"):
        raise ValueError(
            f'`{what}` must have the objective keras_tuner.Objective("{NAME}", "max"), but has '
            f"{oracle.objective.name!r}, {oracle.objective.direction!r}."
        )
    if oracle.trials:
        raise ValueError(
            f"`{what}` must be one that has not searched yet, but has {len(oracle.trials)} trials. Make another one; a "
            "search that was interrupted goes on from its run directory."
        )


def make_oracle(oracle: Any, trials: int, seed: int) -> keras_tuner.Oracle:
    """Returns an oracle that maximizes the search's objective.

    Args:
        oracle: Name in `ORACLES`, or a `keras_tuner.Oracle` with the objective
            `keras_tuner.Objective("objective", "max")`, which is used unchanged.
        trials: Largest number of candidates to try.
        seed: Random seed.

    Raises:
        ValueError: If it is neither, or has another objective.
    """
    check_positive_int(trials, "trials")
    check_oracle(oracle)
    if not isinstance(oracle, str):
        return oracle
    common = {
        "objective": keras_tuner.Objective(NAME, "max"),
        "seed": seed + 1,  # KerasTuner treats 0 as none
        "max_consecutive_failed_trials": trials + 1,
    }
    return ORACLES[oracle](trials, common)
