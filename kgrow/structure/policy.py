"""`StructurePolicy`: decides when and how a network's structure changes."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from kgrow.graph import Architecture
from kgrow.graph.image_size import at_image_size
from kgrow.pruning import PruningSchedule
from kgrow.structure.append_block import AppendBlock
from kgrow.structure.change import Change
from kgrow.structure.statistics import Statistics

Events = tuple[Mapping[str, Any], ...]


def says(event: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Returns whether an event of a log has all wanted fields."""
    return all(event.get(key) == value for key, value in wanted.items())


@dataclasses.dataclass(frozen=True)
class StructureState:
    """The state that a policy may read.

    Args:
        epoch: Number of epochs already trained.
        num_epochs: Number of epochs of the run.
        architecture: Current architecture, possibly without any block.
        target: Final architecture of the network.
        keep_ratios: Final kept fraction of each target block's connections.
        events: Log of the run so far, oldest first: changes, and an event `epoch` after each epoch, with `loss`,
            `val_accuracy` and `val_loss` of every head.
        initial: Initial values of the target's variables, by name; variables without one are initialized at random.
        statistics: Measurements of the current network.
        budget: Limits on the final network, by name: `params`, `macs`, `flash_bytes`, `ram_bytes`, `latency_ms`.
    """

    epoch: int
    num_epochs: int
    architecture: Architecture
    target: Architecture
    keep_ratios: tuple[float, ...]
    events: Events = ()
    initial: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    statistics: Statistics = dataclasses.field(default_factory=Statistics)
    budget: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def epochs(self) -> Events:
        """The events of all epochs so far."""
        return tuple(event for event in self.events if event["event"] == "epoch")

    @property
    def changes(self) -> Events:
        """The events of all changes so far."""
        return tuple(event for event in self.events if "change" in event)

    @property
    def births(self) -> tuple[int, ...]:
        """The epoch before which each block was appended."""
        grown: list[int] = []
        for event in self.changes:
            if event["event"] == "grew":
                grown.append(event["epoch"])
            elif event["event"] == "cut":
                del grown[event["change"]["num_blocks"] :]
        return tuple(grown)

    @property
    def next_block(self) -> AppendBlock | None:
        """The change that appends the target's next block, for images of the current size; None if none is left."""
        number = len(self.architecture.blocks)
        if number >= len(self.target.blocks):
            return None
        height, width, _ = self.architecture.input_shape
        block = at_image_size(self.target, (height, width)).blocks[number]
        own = {node.name for node in (*block.nodes, *block.head)}
        return AppendBlock(block, {name: v for name, v in self.initial.items() if name.rpartition("/")[0] in own})

    def has_made(self, change: Change) -> bool:
        """Returns whether an equal change was made already since the last epoch."""
        return any(says(event, change.entry(self.epoch)) for event in self.changes)


class StructurePolicy(abc.ABC):
    """Decides before each epoch how the structure changes.

    Its answers may depend on the state alone: a run that resumes after an interruption, and another one that shares its
    beginning, ask again. It reads the state and changes nothing.
    """

    @abc.abstractmethod
    def propose(self, state: StructureState) -> Change | None:
        """Returns the next change, or None. It is asked again, with the changed network, until it returns None."""

    def pruning_schedule(self, schedule: PruningSchedule, num_epochs: int) -> PruningSchedule:
        """Returns the pruning schedule that goes with it, where it decides about growth.

        Args:
            schedule: Schedule of the preset, which is the default.
            num_epochs: Number of epochs of the run.
        """
        return schedule

    @abc.abstractmethod
    def is_settled(self, state: StructureState) -> bool:
        """Returns whether it expects to propose nothing more.

        Epochs count for the best checkpoint once all policies are settled. A policy that proposes a change later
        invalidates them, because they belong to another network.
        """
