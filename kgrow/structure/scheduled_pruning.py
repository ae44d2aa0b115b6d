"""`ScheduledPruning`: prunes blocks by a schedule."""

from __future__ import annotations

import dataclasses
import math

from kgrow.pruning import PruningSchedule
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.structure.prune import Prune


@dataclasses.dataclass(frozen=True)
class ScheduledPruning(StructurePolicy):
    """Prunes the existing blocks towards the keep ratios of the run.

    Args:
        schedule: Schedule of events and ratios.
        scope: Scope of the ranking; see `kgrow.pruning.prune`.
        channel_keep_ratios: Final kept fraction of each block's channels; empty for all, None for the square root of
            the kept fraction of connections, which leaves about that fraction.
    """

    schedule: PruningSchedule
    scope: str = "block"
    channel_keep_ratios: tuple[float, ...] | None = ()

    def propose(self, state: StructureState) -> Prune | None:
        """See `StructurePolicy.propose`."""
        ranked = self.schedule.ranked(state.epoch, state.keep_ratios, self.scope)
        there = {block: ratio for block, ratio in ranked.items() if block < len(state.architecture.blocks)}
        if not there:
            return None
        if self.channel_keep_ratios is None:
            channels = {block: math.sqrt(ratio) for block, ratio in there.items()}
        else:
            channels = self.schedule.due(state.epoch, self.channel_keep_ratios) if self.channel_keep_ratios else {}
        channels = {block: ratio for block, ratio in channels.items() if block in there}
        change = Prune(there, channels, self.schedule.price_share(state.epoch))
        return None if state.has_made(change) else change

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return state.epoch >= self.schedule.last_epoch(len(state.target.blocks))
