"""`Change`: a change of a network's structure as a value, with the map from old to new weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kgrow.graph import Architecture
from kgrow.graph.operators import Operator
from kgrow.pruning import ChannelCriterion, Criterion
from kgrow.pruning.criterion import Batch, Loss
from kgrow.registry import broken, is_foreign

if TYPE_CHECKING:
    from kgrow.network import GrowingNetwork

State = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Taken:
    """The old channels from which those of a changed node come.

    Args:
        operator: Operator of the node.
        read: Old number of each channel of the first input.
        made: Old number of each output channel.
        read_value: Factor per input channel on the weights that read it: copies share a weight.
        read_slot: Same factor for the optimizer's slots: the gradient of a weight does not depend on its size.
        made_slot: Factor of the slots per output channel: a copy is read with a part of the weight, so it gets a part
            of the gradient.
        is_fresh: Whether each output channel is initialized instead.
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
        return np.asarray(new * self.made_slot[:, np.newaxis], old.dtype)  # depthwise: the channels are the rows

    def _gathered(self, kind: str, old: np.ndarray) -> np.ndarray:
        if kind not in ("kernel", "mask"):
            return old[..., self.made] if old.ndim else old
        rows, columns = self.operator.sides(self.read, self.made, -1)
        return old[..., rows, :][..., np.arange(old.shape[-1]) if np.any(columns < 0) else columns]


@dataclasses.dataclass(frozen=True)
class WeightMap:
    """The sources of a changed network's values; unnamed nodes keep their values, and new ones are initialized.

    Args:
        taken: Channel sources of the nodes whose channels change, by node name.
        given: Values of new variables that are not initialized at random, by name.
    """

    taken: Mapping[str, Taken] = dataclasses.field(default_factory=dict)
    given: State = dataclasses.field(default_factory=dict)

    def values(self, old: State, fresh: State) -> dict[str, np.ndarray]:
        """Returns the state of the changed network: weights, masks and statistics.

        Args:
            old: State of the network before the change.
            fresh: State of a new network of the changed architecture.
        """
        found = {}
        for name, given in self.given.items():
            if name not in fresh or np.shape(given) != np.shape(fresh[name]):
                wanted = f"the shape {np.shape(fresh[name])}" if name in fresh else "a name of the network's variables"
                raise ValueError(f"The value given for {name!r}, {np.shape(given)}, must have {wanted}.")
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
        """Returns the optimizer's slots of all earlier variables; those of new ones start at zero."""
        found = {}
        for name, value in old.items():
            node, _, kind = name.rpartition("/")
            found[name] = self.taken[node].slot(kind, value) if node in self.taken else value
        return found


@dataclasses.dataclass(frozen=True)
class Scoring:
    """The inputs for scoring connections and channels.

    Args:
        criterion: Criterion of the kept connections.
        batches: Training batches to score on.
        loss: Training loss; see `Criterion.saliency`.
        scope: Scope of the ranking; see `kgrow.pruning.prune`.
        channel_criterion: Criterion of the kept channels; None if none are pruned.
        channel_multiple: Divisor of the widths of layers.
    """

    criterion: Criterion
    batches: Sequence[Batch]
    loss: Loss
    scope: str = "block"
    channel_criterion: ChannelCriterion | None = None
    channel_multiple: int = 1


class Change:
    """A structural change of a network, as a frozen dataclass.

    A change of the architecture implements `apply`, and a change of masks implements `remask`.

    Attributes:
        event: Name in the log.
        revives: Whether its masks may restore connections; those of other changes may not.
    """

    event: ClassVar[str]
    revives: ClassVar[bool] = False

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """Returns the changed architecture, and the sources of its values.

        Args:
            architecture: Architecture to change; it is not modified.

        Raises:
            ValueError: If the architecture does not allow this change.
        """
        return architecture, WeightMap()

    def remask(self, network: GrowingNetwork, scoring: Scoring) -> None:
        """Assigns the changed masks, in place.

        Args:
            network: Network of the changed architecture.
            scoring: Scoring inputs of the whole run.
        """

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types; equal values mean equal changes."""
        fields: Any = self  # every change is a dataclass
        return dataclasses.asdict(fields)

    def entry(self, epoch: int) -> dict[str, Any]:
        """Returns the log entry of the change before an epoch, as it is read from a file."""
        return {"event": self.event, "epoch": epoch, "change": json.loads(json.dumps(self.to_json()))}


def remasked_by(change: Change, network: GrowingNetwork, scoring: Scoring) -> None:
    """Calls `Change.remask` and checks its contract: only masks change, and kept weights stay as they are.

    Raises:
        PluginError: If the change violates it; the message names the package.
    """
    before, masks = network.state() if is_foreign(change) else {}, _masks(network)
    change.remask(network, scoring)
    remasked = _masks(network)
    if not change.revives and any(np.any(remasked[name] > mask) for name, mask in masks.items()):
        raise broken(change, "leave pruned connections pruned", "revives some")
    after = network.state() if before else {}
    for name, value in before.items():
        node, _, kind = name.rpartition("/")
        kept = (masks[node] * remasked[node] > 0) if kind == "kernel" and node in masks else np.ones_like(value, bool)
        if kind != "mask" and not np.array_equal(after[name][kept], value[kept]):
            raise broken(change, "leave kept weights as they are when it remasks", f"changes {name}")


def _masks(network: GrowingNetwork) -> State:
    return {kernel.name: kernel.mask.numpy() for kernel in network.kernels()}
