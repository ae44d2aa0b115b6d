"""Changes of a network's channels: repetition and removal."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from kgrow._checks import check_bool, check_positive_int
from kgrow._rules import check_fields, one_of, several
from kgrow.graph import IMAGE, Architecture
from kgrow.graph.channels import NO_CHANNEL, channel_labels
from kgrow.graph.operators import Operator, Shape
from kgrow.structure.change import Change, Taken, WeightMap

OUTGOING = ("split", "zero")


@dataclasses.dataclass(frozen=True)
class Widen(Change):
    """Adds channels to a node; in inference the logits stay the same up to rounding.

    Channels tied to it are widened in the same way.

    Args:
        node: Name of a node with its own channels.
        copies: Final number of copies of each output channel, at least 1.
        outgoing: `"split"`: copies of a channel are equal, and each is read with an equal share of the weight
            (Net2WiderNet). `"zero"`: new channels are initialized and read with weights of zero.

    References:
        Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016,
        https://arxiv.org/abs/1511.05641, section 2.3.
    """

    node: str
    copies: tuple[int, ...]
    outgoing: str = "split"
    event: ClassVar[str] = "widened"

    def __post_init__(self) -> None:
        check_fields(self, {"outgoing": one_of(OUTGOING), "copies": several(check_positive_int)})

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """See `Change.apply`."""
        return _resized(architecture, {self.node: self.copies}, "copies", self.outgoing)

    def to_json(self) -> dict[str, Any]:
        """See `Change.to_json`."""
        return {"node": self.node, "copies": list(map(int, self.copies)), "outgoing": self.outgoing}


@dataclasses.dataclass(frozen=True)
class RemoveChannels(Change):
    """Removes channels, with the weights that make and read them.

    The logits stay the same if nothing reads them, or they are zero; see `kgrow.graph.removal` for other removals.

    Args:
        kept: Whether each output channel stays, by node name; tied channels stay or go together.
    """

    kept: Mapping[str, tuple[bool, ...]]
    event: ClassVar[str] = "removed"

    def __post_init__(self) -> None:
        kept = {name: tuple(check_bool(stays, "kept") for stays in own) for name, own in self.kept.items()}
        object.__setattr__(self, "kept", kept)

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """See `Change.apply`."""
        return _resized(architecture, {name: tuple(map(int, own)) for name, own in self.kept.items()}, "kept", "zero")

    def to_json(self) -> dict[str, Any]:
        """See `Change.to_json`."""
        return {"kept": {name: list(map(int, own)) for name, own in sorted(self.kept.items())}}


def _resized(
    architecture: Architecture, copies: Mapping[str, Sequence[int]], field: str, outgoing: str
) -> tuple[Architecture, WeightMap]:
    counts = _counts(architecture, copies, field)
    taken = _taken(architecture, counts)
    nodes, maps = {}, {}
    for node in architecture.nodes:
        read, made = taken[node.inputs[0]], taken[node.name]
        nodes[node.name] = dataclasses.replace(node, operator=node.operator.with_channels(made))
        if not _is_same(architecture, node.inputs[0], read) or not _is_same(architecture, node.name, made):
            maps[node.name] = _map_of(node.operator, read, made, outgoing)
    return architecture.with_nodes(nodes), WeightMap(maps)


def _is_same(architecture: Architecture, name: str, taken: np.ndarray) -> bool:
    return np.array_equal(taken, np.arange(architecture.shapes[name][-1]))


def _map_of(operator: Operator, read: np.ndarray, made: np.ndarray, outgoing: str) -> Taken:
    read_first, made_first = (np.array([rank == 0 for _, rank in _ranked(each)]) for each in (read, made))
    if outgoing == "zero":
        return Taken(operator, read, made, read_first, read_first, made_first, ~made_first)
    read_share, made_share = (1.0 / np.bincount(each)[each] for each in (read, made))
    return Taken(operator, read, made, read_share, np.ones(len(read)), made_share, np.zeros(len(made), bool))


def _counts(architecture: Architecture, copies: Mapping[str, Sequence[int]], field: str) -> dict[str, np.ndarray]:
    """Returns per node the final number of copies of each channel."""
    labels = channel_labels(architecture)
    per_group = np.ones(2 + max(int(each.max(initial=NO_CHANNEL)) for each in labels.values()), int)
    for name, given in copies.items():
        if name not in labels or name == IMAGE:
            raise ValueError(f"`{field}` must be of a node of the network, but there is no {name!r}.")
        wanted, own = np.asarray(given, int), labels[name]
        if len(wanted) != len(own):
            raise ValueError(f"`{field}` must hold one value for each of {len(own)} channels of {name}, not {given}.")
        if np.any(own[wanted != 1] == NO_CHANNEL):
            raise ValueError(
                f"`{field}` must be of a node with channels of its own, but {name} gives logits or is the image's."
            )
        per_group[own] = wanted
        per_group[NO_CHANNEL] = 1  # the last entry
        if np.any(per_group[own] != wanted):
            raise ValueError(f"`{field}` must be equal for channels that are tied, but got {given} for groups {own}.")
    counts = {node: per_group[each] for node, each in labels.items()}
    empty = next((name for name, own in counts.items() if not own.any()), None)
    if empty is not None:
        raise ValueError(f"`{field}` must leave every node a channel, but leaves {empty} none.")
    return counts


def _taken(architecture: Architecture, counts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns per node the old number of each new channel."""
    taken = {IMAGE: np.arange(architecture.input_shape[2])}
    for node in architecture.nodes:
        shapes = architecture.input_shapes(node)
        inputs = [taken[source] for source in node.inputs]
        if node.operator.makes_channels:
            taken[node.name] = np.repeat(np.arange(len(counts[node.name])), counts[node.name])
        else:
            taken[node.name] = _passed_on(node.operator, shapes, inputs)
    return taken


def _passed_on(operator: Operator, shapes: Sequence[Shape], inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Returns `_taken` for a node whose channels are those of its inputs, with their numbers of copies.

    The r-th channel made from an input channel stays the r-th.
    """
    before = _origins(operator, shapes, [shape[-1] for shape in shapes])
    after = _origins(operator, shapes, [len(each) for each in inputs])
    ends = np.cumsum([0, *(shape[-1] for shape in shapes)])
    old = np.concatenate([start + each for start, each in zip(ends, inputs, strict=False)])
    places = {key: place for place, key in enumerate(_ranked(before))}
    return np.array([places[int(old[origin]), rank] for origin, rank in _ranked(after)])


def _origins(operator: Operator, shapes: Sequence[Shape], widths: Sequence[int]) -> np.ndarray:
    """Returns per output channel the number of its source channel, among those of all inputs."""
    ends = np.cumsum([0, *widths])
    numbers = [start + np.arange(width) for start, width in zip(ends, widths, strict=False)]
    resized = [(*shape[:-1], width) for shape, width in zip(shapes, widths, strict=True)]
    return operator.aligned(numbers, resized)[0]


def _ranked(origins: np.ndarray) -> list[tuple[int, int]]:
    """Returns per channel its origin, and the number of earlier channels of the same origin."""
    seen: dict[int, int] = {}
    found = []
    for origin in origins.tolist():
        found.append((origin, seen.get(origin, 0)))
        seen[origin] = seen.get(origin, 0) + 1
    return found
