"""`Change`: a change of a network's structure as a value, and the way of every weight through it."""

from __future__ import annotations

import abc
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kgrow.graph import Architecture
from kgrow.graph.operators import Operator
from kgrow.pruning import ChannelCriterion, Criterion
from kgrow.pruning.criterion import Batch, Loss

if TYPE_CHECKING:
    from kgrow.network import GrowingNetwork

State = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Taken:
    """Which channels of the old node those of a changed node are.

    Args:
        operator: Of the node.
        read: Per channel of the first input its old number.
        made: Per output channel its old number.
        read_value: Factor of what is read, per input channel: copies share a weight.
        read_slot: The same for the optimizer's slots: the gradient of a weight does not depend on its size.
        made_slot: Factor of the slots per output channel: what reads a copy has a part of the weight, and so the copy a
            part of the gradient.
        is_fresh: Per output channel, whether it starts anew instead.
    """

    operator: Operator
    read: np.ndarray
    made: np.ndarray
    read_value: np.ndarray
    read_slot: np.ndarray
    made_slot: np.ndarray
    is_fresh: np.ndarray

    def value(self, kind: str, old: np.ndarray, fresh: np.ndarray) -> np.ndarray:
        """Returns a weight, a mask or a statistic of the changed node; see `WeightMap.values`."""
        new, factor = self._gathered(kind, old), self.read_value
        if self.operator.makes_channels and np.ndim(new):
            new = np.where(self.is_fresh, fresh, new)
        if kind == "kernel" and self.operator.makes_channels:
            new = new * factor[:, np.newaxis]
        return np.asarray(new, old.dtype)

    def slot(self, kind: str, old: np.ndarray) -> np.ndarray:
        """Returns the optimizer's slot of a weight of the changed node."""
        new = self._gathered(kind, old)
        if kind != "kernel":
            return np.asarray(new * self.made_slot if new.ndim else new, old.dtype)
        if self.operator.makes_channels:
            return np.asarray(new * self.read_slot[:, np.newaxis] * self.made_slot, old.dtype)
        return np.asarray(new * self.made_slot[:, np.newaxis], old.dtype)  # depthwise: its channels are its rows

    def _gathered(self, kind: str, old: np.ndarray) -> np.ndarray:
        if kind not in ("kernel", "mask"):
            return old[..., self.made] if old.ndim else old
        rows, columns = self.operator.sides(self.read, self.made, -1)
        return old[..., rows, :][..., np.arange(old.shape[-1]) if np.any(columns < 0) else columns]


@dataclasses.dataclass(frozen=True)
class WeightMap:
    """Where every value of a changed network comes from; what is not named keeps its value, and what is new is fresh.

    Args:
        taken: By the name of a node, for those whose channels are others.
        given: Values of new variables that do not start fresh, by name.
    """

    taken: Mapping[str, Taken] = dataclasses.field(default_factory=dict)
    given: State = dataclasses.field(default_factory=dict)

    def values(self, old: State, fresh: State) -> dict[str, np.ndarray]:
        """Returns the state of the changed network: weights, masks and statistics.

        Args:
            old: The state of the network before.
            fresh: The state of a new network of the changed architecture.
        """
        found = {}
        for name, value in fresh.items():
            node, _, kind = name.rpartition("/")
            if name in self.given:
                found[name] = self.given[name]
            elif name not in old:
                found[name] = value
            else:
                found[name] = self.taken[node].value(kind, old[name], value) if node in self.taken else old[name]
        return found

    def slots(self, old: State) -> dict[str, np.ndarray]:
        """Returns the optimizer's slots of all variables that were there before; those of new ones start at zero."""
        found = {}
        for name, value in old.items():
            node, _, kind = name.rpartition("/")
            found[name] = self.taken[node].slot(kind, value) if node in self.taken else value
        return found


@dataclasses.dataclass(frozen=True)
class Scoring:
    """What connections and channels are scored with.

    Args:
        criterion: Which connections are kept.
        batches: Training batches to score on.
        loss: See `Criterion.saliency`.
        scope: What is ranked together; see `kgrow.pruning.prune`.
        channel_criterion: Which channels are kept; None if none are pruned.
        channel_multiple: Of which the width of every layer shall be a multiple.
    """

    criterion: Criterion
    batches: Sequence[Batch]
    loss: Loss
    scope: str = "block"
    channel_criterion: ChannelCriterion | None = None
    channel_multiple: int = 1


class Change(abc.ABC):
    """A frozen dataclass that says how a network's structure changes.

    One that changes the architecture implements `apply`, one that changes masks `remask`.

    Attributes:
        event: How the log calls it.
        revives: Whether its masks may bring connections back; those of all others may not.
    """

    event: ClassVar[str]
    revives: ClassVar[bool] = False

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """Returns the changed architecture, and where its values come from.

        Args:
            architecture: Left as it is.

        Raises:
            ValueError: If the architecture cannot be changed so.
        """
        return architecture, WeightMap()

    def remask(self, network: GrowingNetwork, scoring: Scoring) -> None:  # noqa: B027 - most changes leave masks alone
        """Assigns the masks that change, in place.

        Args:
            network: Of the changed architecture.
            scoring: Common to the whole run.
        """

    @abc.abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types: equal values are equal changes."""

    def entry(self, epoch: int) -> dict[str, Any]:
        """Returns what the log says of the change before an epoch, as it is read from a file."""
        return {"event": self.event, "epoch": epoch, "change": json.loads(json.dumps(self.to_json()))}
