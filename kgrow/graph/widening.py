"""Moves that enlarge a network and leave its answers as they are: more channels, one more convolution."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from kgrow.graph.architecture import Architecture, Block
from kgrow.graph.channels import NO_CHANNEL, channel_labels
from kgrow.graph.node import IMAGE, Node
from kgrow.graph.operators import Conv, Operator, Shape
from kgrow.graph.values import Weighted


def widen(weighted: Weighted, name: str, copies: Sequence[int]) -> Weighted:
    """Returns the network with channels of a node repeated; in inference it gives the same logits, rounding aside.

    What reads a channel reads each of its copies with an equal share of the weight (Net2WiderNet). Channels that are
    tied to it are repeated as often.

    Args:
        weighted: Left as it is.
        name: Name of the node.
        copies: Per output channel how often it is there in the end, at least 1.

    Raises:
        ValueError: If the node has no channels of its own, or tied channels are to be repeated unequally.

    References:
        Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016,
        https://arxiv.org/abs/1511.05641, section 2.3.
    """
    architecture, weights = weighted
    counts = _counts(architecture, name, np.asarray(copies))
    taken = _taken(architecture, counts)
    nodes, changed = {}, {}
    for node in architecture.nodes:
        nodes[node.name] = dataclasses.replace(node, operator=node.operator.with_channels(taken[node.name]))
        changed[node.name] = _repeated(node, weights[node.name], taken)
    return Weighted(architecture.with_nodes(nodes), changed)


def _counts(architecture: Architecture, name: str, copies: np.ndarray) -> dict[str, np.ndarray]:
    """Returns per node how often each of its channels is there in the end."""
    labels = channel_labels(architecture)
    own = labels[name]
    if len(copies) != len(own) or np.min(copies) < 1:
        raise ValueError(f"`copies` must be at least 1 for each of {len(own)} channels of {name}, but got {copies}.")
    if np.any(own[copies > 1] == NO_CHANNEL):
        raise ValueError(f"`name` must be a node with channels of its own, but {name} gives logits or is the image's.")
    per_group = np.ones(2 + max(int(each.max(initial=NO_CHANNEL)) for each in labels.values()), int)
    per_group[own] = copies
    per_group[NO_CHANNEL] = 1  # the last place
    if np.any(per_group[own] != copies):
        raise ValueError(f"`copies` must be equal for channels that are tied, but got {copies} for groups {own}.")
    return {node: per_group[each] for node, each in labels.items()}


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
    """Returns `_taken` for a node whose channels are those of its inputs, each as often as it was.

    The r-th channel that is made of an input channel is still the r-th.
    """
    before = _origins(operator, shapes, [shape[-1] for shape in shapes])
    after = _origins(operator, shapes, [len(each) for each in inputs])
    ends = np.cumsum([0, *(shape[-1] for shape in shapes)])
    old = np.concatenate([start + each for start, each in zip(ends, inputs, strict=False)])
    places = {key: place for place, key in enumerate(_ranked(before))}
    return np.array([places[int(old[origin]), rank] for origin, rank in _ranked(after)])


def _origins(operator: Operator, shapes: Sequence[Shape], widths: Sequence[int]) -> np.ndarray:
    """Returns per output channel the number of the channel that it is made of, among those of all inputs."""
    ends = np.cumsum([0, *widths])
    numbers = [start + np.arange(width) for start, width in zip(ends, widths, strict=False)]
    resized = [(*shape[:-1], width) for shape, width in zip(shapes, widths, strict=True)]
    return operator.aligned(numbers, resized)[0]


def _ranked(origins: np.ndarray) -> list[tuple[int, int]]:
    """Returns per channel its origin, and how many channels of the same origin come before it."""
    seen: dict[int, int] = {}
    found = []
    for origin in origins.tolist():
        found.append((origin, seen.get(origin, 0)))
        seen[origin] = seen.get(origin, 0) + 1
    return found


def _repeated(node: Node, own: Mapping[str, np.ndarray], taken: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    read, made = taken[node.inputs[0]], taken[node.name]
    found = {}
    for kind, value in own.items():
        if kind not in ("kernel", "mask"):
            found[kind] = value[..., made] if value.ndim else value
            continue
        rows, columns = node.operator.sides(read, made, -1)
        whole = np.arange(value.shape[-1])
        found[kind] = value[..., rows, :][..., whole if np.any(columns < 0) else columns]
        if kind == "kernel" and node.operator.makes_channels:
            share = 1.0 / np.bincount(read)[read]
            found[kind] = (found[kind] * share[:, np.newaxis]).astype(value.dtype)
    return found


def insert_identity(weighted: Weighted, after: str, name: str, side: int = 3) -> Weighted:
    """Returns the network with a convolution more that gives what it reads (Net2DeeperNet without an activation).

    Args:
        weighted: Left as it is.
        after: Name of a node that gives a map; all that read it read the convolution in its place.
        name: Name of the convolution.
        side: Side of its kernel, odd.

    Raises:
        ValueError: If the node gives no map, or the side is even.
    """
    architecture, weights = weighted
    shape = architecture.shapes[after]
    if len(shape) != 3 or side % 2 == 0:
        raise ValueError(
            f"`after` must give a map and `side` be odd, but {after} gives {shape}, and the side is {side}."
        )
    kernel = np.zeros((side, side, shape[2], shape[2]), np.float32)
    kernel[side // 2, side // 2] = np.eye(shape[2])
    inserted = Node(name, Conv((side, side), filters=shape[2]), (after,))

    def moved(nodes: Sequence[Node]) -> tuple[Node, ...]:
        found: list[Node] = []
        for node in nodes:
            inputs = tuple(name if source == after else source for source in node.inputs)
            found.append(dataclasses.replace(node, inputs=inputs))
            if node.name == after:
                found.append(inserted)
        return tuple(found)

    blocks = tuple(Block(moved(block.nodes), moved(block.head)) for block in architecture.blocks)
    added = {name: {"kernel": kernel, "mask": np.ones_like(kernel)}}
    return Weighted(dataclasses.replace(architecture, blocks=blocks), {**weights, **added})
