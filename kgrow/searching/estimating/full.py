"""The estimator `full`: trains every candidate to its end."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Sequence

from kgrow.lifecycle import Lifecycle
from kgrow.searching.estimating.estimator import Estimate, EstimationContext, Estimator, accuracies_of
from kgrow.searching.proposals import Proposal

COMPARED_EPOCHS = 3


@dataclasses.dataclass(frozen=True)
class Full(Estimator):
    """Trains the candidate to its end: exact. Epochs that candidates share are trained once.

    Where time is limited and accuracy alone counts, a candidate that is behind the best one so far in the middle of the
    schedule ends there: its time is worth more to the best one.
    """

    def estimate(self, index: int, proposal: Proposal, context: EstimationContext) -> Estimate:
        """See `Estimator.estimate`."""
        # Where time is up already nothing is trained, and so nothing decided.
        has_limit = time.monotonic() < context.deadline < float("inf")
        hurries = has_limit and not context.proposals.wants_small
        earlier = [number for number in context.trials.ranked() if number < index] if hurries else []
        stopper = _LeaderStopper(context, earlier[0]) if earlier else None
        trial = context.trials.train(index, proposal, context.deadline, stopper.is_lost if stopper else None)
        return Estimate.of(trial, stopper.expected if stopper else None)


class _LeaderStopper:
    """Compares a candidate with the best one before it, in the middle of the schedule.

    Args:
        context: Context with the other trials.
        leader: Number of the best trial so far.

    Attributes:
        expected: Expected final accuracy of a candidate that has lost: it gains as much as the other one did.
    """

    def __init__(self, context: EstimationContext, leader: int):
        self._leading = accuracies_of(context.trials.directory(leader).events())
        self._middle = context.trials.settings.preset.epochs // 2
        self.expected: float | None = None

    def is_lost(self, life: Lifecycle) -> bool:
        """Returns whether a candidate ends here."""
        own = accuracies_of(life.events)
        if len(own) != self._middle or len(self._leading) < self._middle:
            return False
        before = _mean(self._leading[: self._middle])
        if _mean(own) >= before:
            return False
        self.expected = min(1.0, _mean(own) * _mean(self._leading) / max(before, 1e-9))
        return True


def _mean(accuracies: Sequence[float]) -> float:
    return statistics.fmean(accuracies[-COMPARED_EPOCHS:])
