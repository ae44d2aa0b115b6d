"""`Compaction`: removes pruned channels physically, so that every later step is cheaper."""

from __future__ import annotations

import dataclasses

from kgrow.graph.channels import NO_CHANNEL, channel_labels
from kgrow.pruning.channels import channel_groups
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.structure.widen import RemoveChannels

# Events after which there may be channels to remove.
CAUSES = ("grew", "cut", "pruned", "traded")


@dataclasses.dataclass(frozen=True)
class Compaction(StructurePolicy):
    """Removes the channels from which no path leads to an output, once growth and pruning are over.

    Nothing reads them, so the logits stay, and the training continues in less time. Before, all channels stay: blocks
    to come may need them.

    Args:
        others: Policies of growth and pruning.
    """

    others: tuple[StructurePolicy, ...]

    def propose(self, state: StructureState) -> RemoveChannels | None:
        """See `StructurePolicy.propose`."""
        was_pruned = any(event["event"] in ("pruned", "traded") for event in state.changes)
        has_changed = any(event["epoch"] == state.epoch and event["event"] in CAUSES for event in state.changes)
        earlier = dataclasses.replace(state, epoch=state.epoch - 1)
        if not was_pruned or not self.is_settled(state) or (self.is_settled(earlier) and not has_changed):
            return None
        kept = _read(state)
        return RemoveChannels(kept) if kept else None

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return all(policy.is_settled(state) for policy in self.others)


def _read(state: StructureState) -> dict[str, tuple[bool, ...]]:
    """Returns which channels stay, by name of the nodes that make them and lose some; every node keeps one."""
    architecture = state.architecture
    labels, is_read = channel_labels(architecture), channel_groups(architecture).read(state.statistics.masks())
    for own in labels.values():
        groups = own[own != NO_CHANNEL]
        if len(groups) and not is_read[groups].any():
            is_read[groups[0]] = True
    makers = [node.name for node in architecture.nodes if node.operator.makes_channels]
    stays = {name: [group == NO_CHANNEL or bool(is_read[group]) for group in labels[name]] for name in makers}
    return {name: tuple(own) for name, own in stays.items() if not all(own)}
