"""The estimator `halving`: ends a trial at a rung where too many others were better."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from kgrow._checks import check_positive_int
from kgrow.lifecycle import Lifecycle, Preset
from kgrow.searching.estimating.estimator import Estimate, EstimationContext, Estimator, accuracies_of
from kgrow.searching.proposals import Proposal

EVENT = "rung"


@dataclasses.dataclass(frozen=True)
class Halving(Estimator):
    r"""Continues the training of a candidate after a rung only if it is among the best :math:`1/\eta` so far.

    A candidate that continues trains nothing twice: rungs are structural events, before which prefixes are kept, or
    come after the last of them, where each has its own checkpoint. The estimate of a candidate that is cut assumes that
    its lag stays the same: its accuracy times the gain of the most advanced candidate since then. A candidate trained
    to its end is exact. Candidates come one after the other, so the first ones have few competitors.

    Args:
        factor: Reduction factor :math:`\eta`, at least 2.

    References:
        Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016;
        Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020,
        https://arxiv.org/abs/1810.05934, for asynchronous trials.
    """

    factor: int = 3

    def __post_init__(self) -> None:
        if check_positive_int(self.factor, "factor") < 2:
            raise ValueError(f"`factor` must be at least 2, but got {self.factor}: all would go on.")

    def estimate(self, index: int, proposal: Proposal, context: EstimationContext) -> Estimate:
        """See `Estimator.estimate`."""
        stopper = _RungStopper(self.factor, index, proposal, context)
        trial = context.trials.train(index, proposal, context.deadline, stop=stopper.is_lost)
        return Estimate.of(trial, stopper.expected)


class _RungStopper:
    """Compares a trial with those before it.

    Args:
        factor: Reduction factor; see `Halving`.
        index: Number of the trial.
        proposal: Candidate of the trial.
        context: Context with the other trials.
    """

    def __init__(self, factor: int, index: int, proposal: Proposal, context: EstimationContext):
        self._factor, self._trials = factor, context.trials
        self._energy = proposal.footprint.macs / context.trials.full_macs
        self._histories = [context.trials.directory(earlier).events() for earlier in range(index)]
        # Candidates of one network are equal until the first connections are pruned.
        start = context.trials.first_event if context.proposals.is_one_network else 0
        self._rungs = rungs(context.trials.settings.preset, start, factor)
        self.expected: float | None = None

    def is_lost(self, life: Lifecycle) -> bool:
        """Logs the objective of a trial at a rung and returns whether the trial should end there."""
        accuracies = accuracies_of(life.events)
        rung = len(accuracies)
        if rung not in self._rungs:
            return False
        objective = self._trials.objective.reward(accuracies[-1], self._energy)
        if not _at(rung, life.events):  # a trial forked here has it from the other one
            life.log({"event": EVENT, "epoch": rung, "objective": objective})
        rivals = [history for history in self._histories if _at(rung, history)]
        ranked = sorted([objective, *(_at(rung, history)[-1] for history in rivals)], reverse=True)
        if objective >= ranked[math.ceil(len(ranked) / self._factor) - 1]:
            return False
        farthest = max(map(accuracies_of, rivals), key=len)
        gain = farthest[-1] / farthest[rung - 1] if farthest[rung - 1] else 1.0
        self.expected = min(1.0, accuracies[-1] * gain)
        return True


def rungs(preset: Preset, start: int, factor: int) -> set[int]:
    r"""Returns the epochs before which trials are compared.

    The levels are the fractions :math:`1/\eta, 1/\eta^2, \ldots` of the epochs after `start`, as long as they are at
    least one epoch. The rung of a level is the first structural event from there on, or itself after the last of them.

    Args:
        preset: Preset of all trials.
        start: Epoch up to which they are equal.
        factor: Reduction factor :math:`\eta`.
    """
    span = preset.epochs - start
    num_levels = int(math.log(max(span, 1), factor) + 1e-9)
    levels = [start + span / factor**level for level in range(1, num_levels + 1)]
    events = sorted({*preset.prune_epochs, *preset.grow_epochs})
    # After the last event every trial goes on from its own checkpoint.
    return {
        next((event for event in events if event >= level), math.ceil(level))
        for level in levels
        if events[-1:] > [start]
    }


def _at(rung: int, events: Sequence[dict[str, Any]]) -> list[float]:
    """Returns the objective of a trial at a rung, as a list; empty if it did not reach the rung."""
    return [event["objective"] for event in events if event["event"] == EVENT and event["epoch"] == rung]
