"""`Choice`: which of the trained networks is the result, and which others might as well be."""

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
# Enough to even out single epochs, few enough to stay near the checkpoint that is exported. Of a short training only
# the later half counts: at its beginning the network was another.
MEAN_EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class Choice:
    """The rule that puts trained networks in order.

    Networks within one standard error of the highest accuracy are contenders: accuracy does not tell which is better.
    Among them the lowest mean validation loss comes first, or the smallest file. An objective that counts energy weighs
    size itself: there only equal objectives are contenders.

    Args:
        prefer: One of `kgrow.registry.PREFERENCES`.
        num_validation: Images on which the accuracies were measured.
        counts_energy: See `Objective`.
    """

    prefer: str
    num_validation: int
    counts_energy: bool = False

    def contenders(self, trials: Mapping[int, Trial]) -> list[int]:
        """Returns the trials that may be the best, the preferred one first; all of `trials` have an objective."""
        # What has its final structure comes before what ran out of time.
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
        """Returns the trials that may be among the first of `order`, whatever trials are still to come.

        Later trials may raise the highest objective, so that a contender is none any more. Whatever has as many others
        at least as good in objective and in preference never comes among the first.

        Args:
            trials: What has ended.
            count: How many are the first.
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
    """Raises ValueError if a preference for small networks is given beside an objective that weighs size already."""
    if prefer == SMALL and objective.counts_energy:
        raise ValueError(
            f"`prefer` must be {ACCURATE!r} with an objective that counts energy, but got {prefer!r} with "
            f"{objective!r}: the objective weighs size already."
        )


def mean_figures(events: Sequence[Mapping[str, Any]], first_epoch: int | None) -> tuple[float, float | None] | None:
    """Returns validation accuracy and loss of the final head over the last epochs up to the kept checkpoint.

    A single epoch on a small validation split is mostly luck; its neighbors are nearly the same network.

    Args:
        events: The log of a trial.
        first_epoch: First epoch that was trained with the final structure, None if none was.

    Returns:
        The means, the loss None where a log does not have it; None if no checkpoint was kept.
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
    """Says of each rival whether the validation images tell it apart from the winner.

    Where the answers of both networks are at hand, McNemar's test compares them image by image; elsewhere the 95 %
    intervals of their accuracies must not overlap.

    Args:
        winner: The trial that was chosen.
        rivals: Others with an exact accuracy.
        right: By trial, whether its network answers each validation image rightly.
        num_validation: Number of validation images.

    Returns:
        Per rival `trial`, `difference` (of validation accuracies, positive if the winner has the higher one), `p_value`
        (None without answers) and `told_apart`.
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
    """Returns what orders trials where accuracy tells them apart: smaller is better."""
    return trial.unfinished, -_objective(trial)
