"""`Decisions`: the ordered policies of a run, and their entries in its log."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph import Architecture
from kgrow.registry import blamed, broken
from kgrow.structure.change import Change
from kgrow.structure.policy import (
    Events,
    StructurePolicy,
    StructureState,
    says,
)
from kgrow.structure.statistics import NotAtHandError, Statistics

# Largest number of changes of one policy before one epoch; more mean a policy that does not terminate.
MOST_CHANGES = 100


@dataclasses.dataclass(frozen=True)
class Decisions:
    """The structural decisions of a run.

    Args:
        policies: Policies, asked in this order; each until it has nothing to propose.
        target: Final architecture of the network.
        keep_ratios: Keep ratios; see `StructureState`.
        num_epochs: Number of epochs of the run.
        initial: Initial values; see `StructureState`.
        budget: Limits; see `StructureState`.
    """

    policies: tuple[StructurePolicy, ...]
    target: Architecture
    keep_ratios: tuple[float, ...]
    num_epochs: int
    initial: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    budget: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def changes(
        self, look: Callable[[], tuple[int, Architecture, Events, Statistics]]
    ) -> Iterator[tuple[StructurePolicy, Change]]:
        """Yields policies with their changes that are due; each is made before the next one is requested.

        Args:
            look: Function that returns current epoch, architecture, log and statistics.

        Raises:
            PluginError: If a policy proposes anything but a change, or more than 100 before one epoch.
        """
        for policy in self.policies:
            for _ in range(MOST_CHANGES):
                with blamed(policy, allowed=(NotAtHandError,)):
                    change = policy.propose(self.state(*look()))
                if change is None:
                    break
                if not isinstance(change, Change):
                    raise broken(policy, "propose a `Change` or None", f"proposes {change!r}")
                yield policy, change
            else:
                raise broken(policy, "propose None when it has enough", f"proposes {MOST_CHANGES} changes at an epoch")

    def are_settled(self, state: StructureState) -> bool:
        """Returns whether all policies are settled."""
        return not self.unsettled(state)

    def unsettled(self, state: StructureState) -> list[StructurePolicy]:
        """Returns the policies that are not settled."""
        found = []
        for policy in self.policies:
            with blamed(policy, allowed=(NotAtHandError,)):
                if not policy.is_settled(state):
                    found.append(policy)
        return found

    def state(
        self, epoch: int, architecture: Architecture, events: Events, statistics: Statistics | None = None
    ) -> StructureState:
        """Returns the state that policies may read."""
        return StructureState(
            epoch,
            self.num_epochs,
            architecture,
            self.target,
            self.keep_ratios,
            events,
            self.initial,
            statistics or Statistics(),
            self.budget,
        )

    def agree_with(self, events: Sequence[Mapping[str, Any]]) -> bool:
        """Returns whether this run would have made exactly the changes in the log of another one.

        A run of equal settings then has bit for bit the same state. Policies that ask for statistics agree with no log,
        because there is no network to ask.

        Args:
            events: Events of the log up to the end of an epoch.
        """
        relevant = told(events)
        architecture, position, epoch = dataclasses.replace(self.target, blocks=()), 0, 0

        def look() -> tuple[int, Architecture, Events, Statistics]:
            return epoch, architecture, relevant[:position], Statistics()

        try:
            while position < len(relevant):
                for _, change in self.changes(look):
                    if position == len(relevant) or not says(relevant[position], change.entry(epoch)):
                        return False
                    architecture, _ = change.apply(architecture)
                    position += 1
                ended = {"event": "epoch", "epoch": epoch, "is_settled": self.are_settled(self.state(*look()))}
                if position == len(relevant) or not says(relevant[position], ended):
                    return False
                position, epoch = position + 1, epoch + 1
        except NotAtHandError:
            return False
        return True


def told(events: Sequence[Mapping[str, Any]]) -> Events:
    """Returns the log entries for policies: changes and epochs, without the notes of estimators."""
    return tuple(event for event in events if "change" in event or event.get("event") == "epoch")


def settled_since(events: Sequence[Mapping[str, Any]]) -> int | None:
    """Returns the first epoch from which all policies are settled and nothing changes; None if there is none."""
    first = None
    for event in events:
        if "change" in event:
            first = None
        elif event["event"] == "epoch":
            first = None if not event["is_settled"] else event["epoch"] if first is None else first
    return first
