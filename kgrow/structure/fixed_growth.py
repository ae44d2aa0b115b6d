"""`FixedGrowth`: appends blocks at epochs that are fixed in advance."""

from __future__ import annotations

import dataclasses

from kgrow._checks import check_non_negative_int
from kgrow._rules import check_fields, several
from kgrow.structure.append_block import AppendBlock
from kgrow.structure.policy import StructurePolicy, StructureState


@dataclasses.dataclass(frozen=True)
class FixedGrowth(StructurePolicy):
    """Starts with the target's first block and appends the next one at each given epoch.

    Args:
        epochs: Growth epochs of blocks 1, 2, ...; 0 means from the start.
    """

    epochs: tuple[int, ...] = (1, 2, 3)

    def __post_init__(self) -> None:
        check_fields(self, {"epochs": several(check_non_negative_int)})

    def propose(self, state: StructureState) -> AppendBlock | None:
        """See `StructurePolicy.propose`."""
        grown, wanted = len(state.architecture.blocks), len(state.target.blocks)
        if grown == wanted:
            return None
        if wanted - 1 > len(self.epochs):
            raise ValueError(
                f"`epochs` must hold an epoch for every block after the first ({wanted - 1}), but got {self.epochs}."
            )
        due = self.epochs[grown - 1] if grown else 0
        return state.next_block if state.epoch >= due else None

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return len(state.architecture.blocks) == len(state.target.blocks)
