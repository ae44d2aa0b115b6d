"""`Interleaved`: prunes each block before the next one is appended."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kgrow._rules import check_fields, within
from kgrow.pruning import PruningSchedule
from kgrow.structure.append_block import AppendBlock
from kgrow.structure.policy import StructurePolicy, StructureState


@dataclasses.dataclass(frozen=True)
class Interleaved(StructurePolicy):
    """Appends blocks at equal distances, and prunes each once, some epochs after its birth.

    At the default fractions a run of 250 epochs appends blocks before epochs 25, 50 and 75, and prunes them before 10,
    35, 60 and 85: the published one-shot schedule. In a run of fewer than 15 epochs a block is pruned as the next one
    is appended.

    Args:
        distance: Epochs from one block to the next, as a fraction of the run's, in (0, 1).
        trained: Epochs from a block's birth to its pruning, likewise.
    """

    distance: float = 0.1
    trained: float = 0.04

    def __post_init__(self) -> None:
        check_fields(self, dict.fromkeys(("distance", "trained"), within("(0, 1)")))

    def propose(self, state: StructureState) -> AppendBlock | None:
        """See `StructurePolicy.propose`."""
        due = len(state.architecture.blocks) * self._steps(state.num_epochs).distance
        return state.next_block if state.epoch >= min(due, state.num_epochs - 1) else None

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return len(state.architecture.blocks) == len(state.target.blocks)

    def pruning_schedule(self, schedule: PruningSchedule, num_epochs: int) -> PruningSchedule:
        """See `StructurePolicy.pruning_schedule`."""
        return self._steps(num_epochs)

    def _steps(self, num_epochs: int) -> OneByOne:
        distance, trained = (max(1, round(part * num_epochs)) for part in (self.distance, self.trained))
        return OneByOne(distance, trained, num_epochs - 1)


@dataclasses.dataclass(frozen=True)
class OneByOne(PruningSchedule):
    """Prunes each block once, directly to its keep ratio, at equal distances.

    Args:
        distance: Epochs from one block to the next.
        trained: Epochs before the first event.
        last: Last epoch of any event.
    """

    distance: int
    trained: int
    last: int

    def due(self, epoch: int, keep_ratios: Sequence[float]) -> dict[int, float]:
        """See `PruningSchedule.due`."""
        return {block: ratio for block, ratio in enumerate(keep_ratios) if self._epoch(block) == epoch}

    def last_epoch(self, num_blocks: int) -> int:
        """See `PruningSchedule.last_epoch`."""
        return self._epoch(num_blocks - 1)

    def _epoch(self, block: int) -> int:
        return min(block * self.distance + self.trained, self.last)
