"""The experimental estimator `extrapolation`: ends a trial when its learning curve is not promising."""

from __future__ import annotations

import dataclasses

import numpy as np

from kgrow._rules import check_fields, within
from kgrow.lifecycle import Lifecycle, Preset
from kgrow.searching.estimating.estimator import Estimate, EstimationContext, Estimator
from kgrow.searching.estimating.learning_curve import extrapolate
from kgrow.searching.proposals import Proposal


@dataclasses.dataclass(frozen=True)
class Extrapolation(Estimator):
    r"""Trains the candidate until :math:`P(y(x_{end}) > y_{best}) < p` by extrapolation; see `extrapolate`.

    A candidate trained to its end is exact. Curves begin with the last structural event and the last step of the
    learning rate; before these every trial continues, and so does one whose curve no family fits. A smoothly falling
    rate makes the last epochs better than any family predicts: trials that would have won may be cut.

    Args:
        probability: Threshold probability of winning, in [0, 1]; a trial below it is cut.

    References:
        Domhan, Springenberg and Hutter, IJCAI 2015.
    """

    probability: float = 0.05

    def __post_init__(self) -> None:
        check_fields(self, {"probability": within("[0, 1]")})

    def estimate(self, index: int, proposal: Proposal, context: EstimationContext) -> Estimate:
        """See `Estimator.estimate`."""
        hope = _CurveStopper(self.probability, index, proposal, context)
        trial = context.trials.train(index, proposal, context.deadline, stop=hope.is_lost)
        return Estimate.of(trial, hope.expected)


class _CurveStopper:
    """Stops a trial that is unlikely to beat the finished ones.

    Args:
        probability: Threshold probability of winning.
        index: Number of the trial.
        proposal: Candidate of the trial.
        context: Context with the other trials.
    """

    def __init__(self, probability: float, index: int, proposal: Proposal, context: EstimationContext):
        self._probability, self._index, self._trials = probability, index, context.trials
        self._energy = proposal.footprint.macs / context.trials.full_macs
        ended = [trial for trial in context.trials.outcomes.values() if trial.status == "done"]
        self._best = max((trial.objective for trial in ended if trial.objective is not None), default=None)
        self.expected: float | None = None

    def is_lost(self, life: Lifecycle) -> bool:
        """Returns whether a trial should end now."""
        preset = self._trials.settings.preset
        first = smooth_from(preset, life.settled_since)
        if self._best is None or first is None:
            return False
        epochs = [event for event in life.events if event["event"] == "epoch" and event["epoch"] >= first]
        curve = np.array([event["val_accuracy"][-1] for event in epochs])
        draws = extrapolate(curve, preset.epochs - first, [self._trials.settings.seed, self._index, len(curve)])
        if draws is None:
            return False
        self.expected = float(draws.mean())
        reward = self._trials.objective.reward
        wins = [reward(draw, self._energy) > self._best for draw in draws]
        return float(np.mean(wins)) < self._probability


def smooth_from(preset: Preset, settled_since: int | None) -> int | None:
    """Returns the 0-based epoch from which a learning curve is smooth to its end; None if there is none."""
    if settled_since is None:
        return None
    first = max([settled_since, *(milestone - 1 for milestone in preset.milestones)])
    return first if first < preset.epochs else None
