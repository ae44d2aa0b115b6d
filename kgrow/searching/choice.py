"""`Choice`: selects the result among the trained networks, and those that may be as good."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.searching.objective import Objective
from kgrow.searching.trial import Trial
from kgrow.uncertainty import SIGNIFICANCE, interval, p_value

ACCURATE, SMALL = "accurate", "small"
# Enough to average out single epochs, few enough to stay near the exported checkpoint. In a short training only the
# later half counts: at its beginning the network was different.
MEAN_EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class Choice:
    """The rule that ranks trained networks.

    Networks within one standard error of the highest accuracy are contenders: accuracy does not tell which is better.
    Among them the lowest mean validation loss comes first, or the smallest file. An objective that counts energy
    includes the size itself; with it only networks of equal objective are contenders.

    Args:
        prefer: Preference, one of `kgrow.registry.PREFERENCES`.
        num_validation: Number of images on which the accuracies were measured.
        counts_energy: Whether the objective counts energy; see `Objective`.
    """

    prefer: str
    num_validation: int
    counts_energy: bool = False

    def contenders(self, trials: Mapping[int, Trial]) -> list[int]:
        """Returns the trials that may be the best, the preferred one first; all of `trials` have an objective."""
        # Trials with their final structure come before those that ran out of time.
        trials = {index: trial for index, trial in trials.items() if not trial.unfinished} or trials
        if not trials:
            return []
        best = max(trials.values(), key=_objective)
        accuracy = best.mean_val_accuracy or 0.0
        error = 0.0 if self.counts_energy else accuracy - interval(accuracy, self.num_validation, z=1.0)[0]
        near = [index for index, trial in trials.items() if _objective(trial) >= _objective(best) - error]
        return sorted(near, key=lambda index: (*self._rank(trials[index]), index))

    def order(self, trials: Mapping[int, Trial]) -> list[int]:
        """Returns the contenders, then the others by their objective."""
        first = self.contenders(trials)
        others = [index for index in trials if index not in first]
        return first + sorted(others, key=lambda i: (*_standing(trials[i]), *self._rank(trials[i]), i))

    def promising(self, trials: Mapping[int, Trial], count: int) -> set[int]:
        """Returns the trials that may still be among the first of `order` after further trials.

        Later trials may raise the highest objective, so a contender may cease to be one. A trial with `count` others
        that are at least as good in objective and in preference can never be among the first.

        Args:
            trials: Finished trials.
            count: Number of first places.
        """
        standing = {index: (_standing(trial), (*self._rank(trial), index)) for index, trial in trials.items()}
        return {
            index
            for index, mine in standing.items()
            if sum(it[0] <= mine[0] and it[1] < mine[1] for it in standing.values()) < count
        }

    def _rank(self, trial: Trial) -> tuple[float, ...]:
        if self.prefer == SMALL:
            return trial.flash_bytes, trial.kept_params, -_objective(trial)
        loss = math.inf if trial.mean_val_loss is None or self.counts_energy else trial.mean_val_loss
        return loss, -_objective(trial), trial.kept_params


def check_preference(prefer: str, objective: Objective) -> None:
    """Raises ValueError if a preference for small networks is combined with an objective that already includes size."""
    if prefer == SMALL and objective.counts_energy:
        raise ValueError(
            f"`prefer` must be {ACCURATE!r} with an objective that counts energy, but got {prefer!r} with "
            f"{objective!r}: the objective weighs size already."
        )


def mean_figures(events: Sequence[Mapping[str, Any]], first_epoch: int | None) -> tuple[float, float | None] | None:
    """Returns validation accuracy and loss of the final head over the last epochs up to the kept checkpoint.

    A single epoch on a small validation split is mostly chance; its neighbors are nearly the same network.

    Args:
        events: Log of a trial.
        first_epoch: First epoch that was trained with the final structure, None if there is none.

    Returns:
        The mean accuracy and loss; the loss is None if a log does not have it. None if no checkpoint was kept.
    """
    if first_epoch is None:
        return None
    epochs = [event for event in events if event["event"] == "epoch" and event["epoch"] >= first_epoch]
    kept = [index for index, event in enumerate(epochs) if event["is_best"]]
    if not kept:
        return None
    until = epochs[: kept[-1] + 1]
    last = until[-min(MEAN_EPOCHS, math.ceil(len(until) / 2)) :]
    losses = [event["val_loss"][-1] for event in last if "val_loss" in event]
    accuracy = float(np.mean([event["val_accuracy"][-1] for event in last]))
    return accuracy, float(np.mean(losses)) if len(losses) == len(last) else None


def comparisons(
    winner: Trial, rivals: Sequence[Trial], right: Mapping[str, np.ndarray], num_validation: int
) -> list[dict[str, Any]]:
    """Returns for each rival whether the validation images distinguish it from the winner.

    If the outputs of both networks are available, McNemar's test compares them image by image. Otherwise the 95 %
    intervals of their accuracies must not overlap.

    Args:
        winner: Chosen trial.
        rivals: Other trials with an exact accuracy.
        right: Whether each validation image is classified correctly, by trial.
        num_validation: Number of validation images by which the trials' epochs were judged.

    Returns:
        Per rival `trial`, `difference` (of validation accuracies, positive if the winner has the higher one), `p_value`
        (None without outputs) and `told_apart`.
    """
    found = []
    for rival in rivals:
        if winner.trial in right and rival.trial in right:
            mine, theirs = right[winner.trial], right[rival.trial]
            p = p_value(mine, theirs)
            difference, told_apart = float(np.mean(mine)) - float(np.mean(theirs)), p < SIGNIFICANCE
        else:
            low, high = sorted((winner.val_accuracy or 0.0, rival.val_accuracy or 0.0))
            p, difference = None, (winner.val_accuracy or 0.0) - (rival.val_accuracy or 0.0)
            told_apart = interval(low, num_validation)[1] < interval(high, num_validation)[0]
        found.append({"trial": rival.trial, "difference": difference, "p_value": p, "told_apart": told_apart})
    return found


def _objective(trial: Trial) -> float:
    return trial.objective or 0.0


def _standing(trial: Trial) -> tuple[bool, float]:
    """Returns the sort key of trials that accuracy cannot distinguish; smaller is better."""
    return trial.unfinished, -_objective(trial)
