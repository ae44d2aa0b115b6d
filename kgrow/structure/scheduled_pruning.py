"""`ScheduledPruning`: prunes blocks by a schedule."""

from __future__ import annotations

import dataclasses
import math

from kgrow.pruning import PruningSchedule
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.structure.prune import Prune

# Epochs that a block is trained before it is pruned, if it is appended after its last event.
LATE_EPOCHS = 2


@dataclasses.dataclass(frozen=True)
class ScheduledPruning(StructurePolicy):
    """Prunes the existing blocks towards the keep ratios of the run.

    A block that is appended after its last event is pruned at once, two epochs after its birth.

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
        ratios, late = state.keep_ratios, self._late(state)
        due = [block for block, epoch in late.items() if epoch == state.epoch]
        ranked = self.schedule.ranked(state.epoch, ratios, self.scope)
        ranked |= {block: ratios[block] for block in (range(len(ratios)) if due and self.scope == "global" else due)}
        there = {block: ratio for block, ratio in ranked.items() if block < len(state.architecture.blocks)}
        if not there:
            return None
        if self.channel_keep_ratios is None:
            channels = {block: math.sqrt(ratio) for block, ratio in there.items()}
        elif self.channel_keep_ratios:
            channels = self.schedule.due(state.epoch, self.channel_keep_ratios)
            channels |= {block: self.channel_keep_ratios[block] for block in due}
        else:
            channels = {}
        channels = {block: ratio for block, ratio in channels.items() if block in there}
        change = Prune(there, channels, self.schedule.price_share(state.epoch))
        return None if state.has_made(change) else change

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        last = self.schedule.last_epoch(len(state.target.blocks))
        return state.epoch >= max([last, *self._late(state).values()])

    def _late(self, state: StructureState) -> dict[int, int]:
        """Returns the epoch at which each block is pruned that was appended after its last event."""
        events = [self.schedule.due(epoch, state.keep_ratios) for epoch in range(state.num_epochs)]
        last = {block: epoch for epoch, due in enumerate(events) for block in due}
        return {
            block: min(birth + LATE_EPOCHS, state.num_epochs - 1)
            for block, birth in enumerate(state.births)
            if birth > last.get(block, birth)
        }
