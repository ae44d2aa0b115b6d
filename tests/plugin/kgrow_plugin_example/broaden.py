"""A policy that widens: where the loss no longer falls, a layer gets more channels."""

from __future__ import annotations

import dataclasses

import numpy as np

from kgrow.structure import Change, StructurePolicy, StructureState, Widen


@dataclasses.dataclass(frozen=True)
class Broaden(StructurePolicy):
    """Starts with all blocks; when an epoch has lowered the loss by less than a share, the first kernel is widened.

    Args:
        gain: That share, in (0, 1).
        times: How often it may be widened.
    """

    gain: float = 0.3
    times: int = 1

    def propose(self, state: StructureState) -> Change | None:
        """See `StructurePolicy.propose`."""
        if state.next_block is not None:
            return state.next_block
        widened = [event["epoch"] for event in state.changes if event["event"] == "widened"]
        losses = [event["loss"] for event in state.epochs]
        if len(widened) == self.times or state.epoch in widened or len(losses) < 2:
            return None
        if losses[-1] < (1 - self.gain) * losses[-2]:
            return None
        first = state.architecture.kernels()[0].name
        width = state.architecture.shapes[first][-1]
        return Widen(first, tuple(int(copies) for copies in 1 + (np.arange(width) % 2 == 0)), "zero")

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return state.next_block is None
