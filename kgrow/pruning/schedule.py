"""`PruningSchedule`: when each block is pruned, and to which keep ratio."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence

from kgrow.bayes import share_of_price

PATHS = ("linear", "geometric")


class PruningSchedule(abc.ABC):
    """Decides at each epoch which blocks are due; the masks never come back in between."""

    @abc.abstractmethod
    def due(self, epoch: int, keep_ratios: Sequence[float]) -> dict[int, float]:
        """Returns the keep ratio for each block that is pruned before this epoch.

        Args:
            epoch: 0-based: the number of epochs already trained.
            keep_ratios: The final ratio of every block.
        """

    @abc.abstractmethod
    def last_epoch(self, num_blocks: int) -> int:
        """Returns the last epoch with an event for a network of so many blocks, -1 if there is none."""

    def ranked(self, epoch: int, keep_ratios: Sequence[float], scope: str) -> dict[int, float]:
        """Returns the keep ratio for each block whose connections are ranked at an event: those that are due.

        Under the scope `"global"` also those whose own events are over, at their last ratio: a block that has lost more
        than its share leaves that to the others, which would lose it for good if they were ranked without it.
        """
        due = self.due(epoch, keep_ratios)
        if due and scope == "global":
            earlier = (self.due(before, keep_ratios) for before in range(epoch))
            return {block: ratio for targets in (*earlier, due) for block, ratio in targets.items()}
        return due

    def price_share(self, epoch: int) -> float:
        """Returns the share of the criterion's `min_saliency` that counts at an event, in (0, 1]."""
        return 1.0


@dataclasses.dataclass(frozen=True)
class OneShot(PruningSchedule):
    """Prunes each block once, straight to its keep ratio.

    Args:
        epochs: One per block.
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
    """Prunes each block in several steps; block `b` starts at event `b`, and the last event brings all to their ratio.

    Args:
        epochs: Of the events, not falling; block `b` uses events `b` to `b + steps - 1`. Of several events at one
            epoch the latest counts.
        steps: Per block.
        path: `"linear"`: after step s of S the ratio is 1 - (1 - keep_ratio) s / S; `"geometric"`: keep_ratio^(s / S).
    """

    epochs: tuple[int, ...]
    steps: int = 3
    path: str = "linear"

    def __post_init__(self) -> None:
        if self.path not in PATHS:
            raise ValueError(f"`path` must be 'linear' or 'geometric', but got {self.path!r}.")

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
    """Lets the evidence of the data decide how many connections stay, in loops of pruning and training.

    At each event every block from its own on loses what scores less than its price, which rises from event to event up
    to the criterion's `min_saliency`, see `bayes.share_of_price`. The last event cuts to the keep ratios as well, where
    they leave less.

    Args:
        epochs: Of the events, not falling; block `b` uses events from `b` on.

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
