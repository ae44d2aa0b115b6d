"""The experimental estimator `evidence`: ends a trial when its gradients are noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kgrow._checks import check_positive_int
from kgrow._rules import check_fields
from kgrow.lifecycle import Lifecycle
from kgrow.searching.estimating.estimator import Estimate, EstimationContext, Estimator
from kgrow.searching.proposals import Proposal
from kgrow.structure.statistics import check_num_examples

EVENT = "evidence"
SMOOTHING = 0.9


@dataclasses.dataclass(frozen=True)
class Evidence(Estimator):
    """Trains the candidate until its gradients are noise; see `Statistics.gradient_noise`.

    The estimate is the accuracy at that point; a candidate trained to its end is exact. The statistic is smoothed over
    epochs and counts from the last structural event on. It is derived for plain gradient descent without momentum and
    augmentation. Training here has both, so it is a heuristic.

    Args:
        patience: Number of consecutive epochs with a positive statistic that end the trial.
        num_examples: Number of training images whose single gradients are computed after each epoch.
    """

    patience: int = 5
    num_examples: int = 256

    def __post_init__(self) -> None:
        check_fields(self, {"patience": check_positive_int, "num_examples": check_num_examples})

    def estimate(self, index: int, proposal: Proposal, context: EstimationContext) -> Estimate:
        """See `Estimator.estimate`."""
        return Estimate.of(context.trials.train(index, proposal, context.deadline, stop=self.is_noise))

    def is_noise(self, life: Lifecycle) -> bool:
        """Logs the statistic of a trial and returns whether the trial should end now."""
        epoch = life.events[-1]["epoch"]
        if life.settled_since is None:
            return False
        blocks = range(len(life.network.blocks))
        statistic = life.statistics(epoch).gradient_noise(blocks, self.num_examples)
        life.log({"event": EVENT, "epoch": epoch, "statistic": statistic})
        values = smoothed([event["statistic"] for event in life.events if event["event"] == EVENT])
        return len(values) >= self.patience and all(value > 0 for value in values[-self.patience :])


def smoothed(values: Sequence[float]) -> list[float]:
    """Returns the exponential moving average after each value; it starts at the first."""
    averages: list[float] = []
    for value in values:
        averages.append(SMOOTHING * averages[-1] + (1 - SMOOTHING) * value if averages else value)
    return averages
