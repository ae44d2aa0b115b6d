"""The estimator `full`: trains every candidate to its end."""

from __future__ import annotations

import dataclasses

from kgrow.searching.estimating.estimator import Estimate, EstimationContext, Estimator
from kgrow.searching.proposals import Proposal


@dataclasses.dataclass(frozen=True)
class Full(Estimator):
    """Trains the candidate to its end: exact. Epochs that candidates share are trained once."""

    def estimate(self, index: int, proposal: Proposal, context: EstimationContext) -> Estimate:
        """See `Estimator.estimate`."""
        return Estimate.of(context.trials.train(index, proposal, context.deadline))
