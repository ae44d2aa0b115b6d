"""`Compaction`: removes pruned channels physically, so that every later step is cheaper."""

from __future__ import annotations

import dataclasses

from kgrow.graph.channels import NO_CHANNEL, channel_labels
from kgrow.pruning import PruningSchedule
from kgrow.pruning.channels import channel_groups
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.structure.widen import RemoveChannels


@dataclasses.dataclass(frozen=True)
class Compaction(StructurePolicy):
    """Removes the channels from which no path leads to an output, once, after the last pruning event.

    Nothing reads them, so the logits stay, and the training continues in less time. A network that is not yet as deep
    as its target keeps all channels: blocks to come may need them.

    Args:
        schedule: Schedule of the pruning events.
    """

    schedule: PruningSchedule

    def propose(self, state: StructureState) -> RemoveChannels | None:
        """See `StructurePolicy.propose`."""
        depth = len(state.target.blocks)
        if state.epoch != self.schedule.last_epoch(depth) or len(state.architecture.blocks) < depth:
            return None
        kept = _read(state)
        return RemoveChannels(kept) if kept else None

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return state.epoch >= self.schedule.last_epoch(len(state.target.blocks))


def _read(state: StructureState) -> dict[str, tuple[bool, ...]]:
    """Returns which channels stay, by name of the nodes that make them and lose some; every node keeps one."""
    architecture = state.architecture
    labels, is_read = channel_labels(architecture), channel_groups(architecture).read(state.masks())
    for own in labels.values():
        groups = own[own != NO_CHANNEL]
        if len(groups) and not is_read[groups].any():
            is_read[groups[0]] = True
    makers = [node.name for node in architecture.nodes if node.operator.makes_channels]
    stays = {name: [group == NO_CHANNEL or bool(is_read[group]) for group in labels[name]] for name in makers}
    return {name: tuple(own) for name, own in stays.items() if not all(own)}
