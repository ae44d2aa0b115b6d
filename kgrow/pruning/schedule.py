"""`PruningSchedule`: the epochs at which each block is pruned, and the keep ratios."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence

from kgrow._checks import check_name
from kgrow.bayes import share_of_price

PATHS = ("linear", "geometric")


class PruningSchedule(abc.ABC):
    """Decides at each epoch which blocks are pruned; pruned connections are never restored."""

    @abc.abstractmethod
    def due(self, epoch: int, keep_ratios: Sequence[float]) -> dict[int, float]:
        """Returns the keep ratio for each block that is pruned before this epoch.

        Args:
            epoch: Number of epochs already trained.
            keep_ratios: Final ratio of every block.
        """

    @abc.abstractmethod
    def last_epoch(self, num_blocks: int) -> int:
        """Returns the last epoch with an event for a network of `num_blocks` blocks, -1 if there is none."""

    def ranked(self, epoch: int, keep_ratios: Sequence[float], scope: str) -> dict[int, float]:
        """Returns the keep ratio for each block whose connections are ranked at an event: the blocks that are due.

        Under the scope `"global"` it includes blocks whose own events are over, at their last ratio. A block that has
        lost more than its share leaves connections to the others; without it in the ranking the others would lose them
        permanently.
        """
        due = self.due(epoch, keep_ratios)
        if due and scope == "global":
            earlier = (self.due(before, keep_ratios) for before in range(epoch))
            return {block: ratio for targets in (*earlier, due) for block, ratio in targets.items()}
        return due

    def price_share(self, epoch: int) -> float:
        """Returns the fraction of the criterion's `min_saliency` that applies at an event, in (0, 1]."""
        return 1.0


@dataclasses.dataclass(frozen=True)
class OneShot(PruningSchedule):
    """Prunes each block once, directly to its keep ratio.

    Args:
        epochs: Epochs of the events, one per block.
    """

    epochs: tuple[int, ...]

    def due(self, epoch: int, keep_ratios: Sequence[float]) -> dict[int, float]:
        """See `PruningSchedule.due`."""
        if len(self.epochs) < len(keep_ratios):
            raise ValueError(
                f"`epochs` must hold an event for each of the {len(keep_ratios)} blocks, but got {self.epochs}."
            )
        return {block: ratio for block, ratio in enumerate(keep_ratios) if self.epochs[block] == epoch}

    def last_epoch(self, num_blocks: int) -> int:
        """See `PruningSchedule.last_epoch`."""
        return max(self.epochs[:num_blocks], default=-1)


@dataclasses.dataclass(frozen=True)
class Iterative(PruningSchedule):
    """Prunes each block in several steps; block `b` starts at event `b`, and the last event completes all blocks.

    Args:
        epochs: Epochs of the events, non-decreasing; block `b` uses events `b` to `b + steps - 1`. If several events
            have the same epoch, the latest counts.
        steps: Number of steps per block.
        path: `"linear"`: after step s of S the ratio is 1 - (1 - keep_ratio) s / S; `"geometric"`: keep_ratio^(s / S).
    """

    epochs: tuple[int, ...]
    steps: int = 3
    path: str = "linear"

    def __post_init__(self) -> None:
        check_name(PATHS, self.path, "path")

    def due(self, epoch: int, keep_ratios: Sequence[float]) -> dict[int, float]:
        """See `PruningSchedule.due`."""
        targets: dict[int, float] = {}
        for event, event_epoch in enumerate(self.epochs):
            if event_epoch != epoch:
                continue
            if event == len(self.epochs) - 1:
                return dict(enumerate(keep_ratios))
            steps = {block: event - block + 1 for block in range(len(keep_ratios))}
            targets |= {b: self._target(keep_ratios[b], step) for b, step in steps.items() if 1 <= step <= self.steps}
        return targets

    def _target(self, keep_ratio: float, step: int) -> float:
        if self.path == "geometric":
            return keep_ratio ** (step / self.steps)
        return 1.0 - (1.0 - keep_ratio) * step / self.steps

    def last_epoch(self, num_blocks: int) -> int:
        """See `PruningSchedule.last_epoch`."""
        return max(self.epochs, default=-1)


@dataclasses.dataclass(frozen=True)
class BayesSchedule(PruningSchedule):
    """Prunes by the evidence of the data, in loops of pruning and training.

    At event `b` and later ones, block `b` loses the connections that score less than their price. The price rises from
    event to event up to the criterion's `min_saliency`, see `bayes.share_of_price`. The last event also cuts to the
    keep ratios, if they leave fewer connections.

    Args:
        epochs: Epochs of the events, non-decreasing; block `b` uses the events from `b` on.

    References:
        Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for Neural Architecture Search", ICML 2019,
        https://arxiv.org/abs/1905.04919, algorithm 1.
    """

    epochs: tuple[int, ...]

    def due(self, epoch: int, keep_ratios: Sequence[float]) -> dict[int, float]:
        """See `PruningSchedule.due`."""
        if epoch not in self.epochs:
            return {}
        if epoch == self.epochs[-1]:
            return dict(enumerate(keep_ratios))
        return dict.fromkeys(range(min(self._begun(epoch), len(keep_ratios))), 1.0)

    def price_share(self, epoch: int) -> float:
        """See `PruningSchedule.price_share`."""
        return share_of_price(self._begun(epoch), len(self.epochs))

    def _begun(self, epoch: int) -> int:
        return sum(event_epoch <= epoch for event_epoch in self.epochs)

    def last_epoch(self, num_blocks: int) -> int:
        """See `PruningSchedule.last_epoch`."""
        return max(self.epochs, default=-1)


@dataclasses.dataclass(frozen=True)
class NoPruning(PruningSchedule):
    """Keeps every connection."""

    def due(self, epoch: int, keep_ratios: Sequence[float]) -> dict[int, float]:
        """See `PruningSchedule.due`."""
        return {}

    def last_epoch(self, num_blocks: int) -> int:
        """See `PruningSchedule.last_epoch`."""
        return -1
