"""Which channels of a graph belong together: those that are added, and those of a depthwise convolution."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from kgrow.compressing.graph import Graph, Values
from kgrow.compressing.layers import MAKERS, SCALERS, Node
from kgrow.pruning.channels import NO_CHANNEL, ChannelGroups

FIXED = 0  # the label of what is never pruned: joined to it, a channel stays


@dataclasses.dataclass(frozen=True)
class GraphGroups:
    """The channel groups of a graph.

    Args:
        groups: As for a growing network; a layer that makes channels, with the layers tied to it, is a block.
        made: Per layer the group of every channel of its output, -1 for the image's channels and the classes; after
            Flatten there is one for each position of a channel.
    """

    groups: ChannelGroups
    made: dict[str, np.ndarray]


def graph_groups(graph: Graph, values: Values) -> GraphGroups:
    """Returns the groups of a graph up to its logits.

    Args:
        graph: A classifier.
        values: Its weights, of which only names and shapes matter.
    """
    made = _labels(graph)
    num_groups = 1 + max(int(labels.max()) for labels in made.values())
    kernels = {name: sides for node in graph.nodes for name, sides in _sides(node, made)}
    layers = [made[node.name] for node in graph.nodes if node.kind in MAKERS]
    layers = [layer[layer != NO_CHANNEL] for layer in layers]
    blocks = np.zeros(num_groups, int)
    for block, layer in reversed(list(enumerate(layers))):
        blocks[layer] = block
    groups = ChannelGroups(
        kernels=kernels,
        layers=tuple(layer for layer in layers if len(layer)),
        blocks=blocks,
        macs=np.zeros(num_groups),
        gates=_gates(graph, values, made, num_groups),
    )
    positions = {
        name: np.full(values[name].shape, float(graph.by_name[name.rpartition("/")[0]].positions)) for name in kernels
    }
    return GraphGroups(dataclasses.replace(groups, macs=groups.total(positions)), made)


def at_least_one(groups: ChannelGroups, kept: np.ndarray) -> np.ndarray:
    """Returns the kept groups and one for each layer that has none, as a layer without channels does not exist."""
    kept = kept.copy()
    for layer in groups.layers:
        if not kept[layer].any():
            kept[layer[0]] = True
    return kept


def _sides(node: Node, made: dict[str, np.ndarray]) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    if node.inputs:
        for kind, sides in node.kernel_sides(made[node.inputs[0]], made[node.name], NO_CHANNEL).items():
            yield f"{node.name}/{kind}", sides


def _labels(graph: Graph) -> dict[str, np.ndarray]:
    """Returns per layer the number of each output channel's group, tied channels having the same one."""
    labels: dict[str, np.ndarray] = {}
    ties: list[tuple[np.ndarray, np.ndarray]] = []
    number = FIXED + 1
    for node in graph.nodes:
        read = [labels[name] for name in node.inputs]
        if node.kind in MAKERS:
            labels[node.name] = np.arange(number, number + node.shape[-1])
            number += node.shape[-1]
        else:
            labels[node.name] = _passed_on(graph, node, read)
        if node.kind in (*SCALERS, "InputLayer") or node is graph.nodes[-1]:
            ties.append((labels[node.name], np.full(node.shape[-1], FIXED)))
        elif node.kind == "Add":
            ties.extend((read[0], other) for other in read[1:])
    representative = _joined(number, ties)
    _, numbered = np.unique(representative, return_inverse=True)
    return {name: numbered[part] - 1 for name, part in labels.items()}  # so FIXED becomes NO_CHANNEL


def _passed_on(graph: Graph, node: Node, read: list[np.ndarray]) -> np.ndarray:
    if not read:
        return np.full(node.shape[-1], FIXED)
    if node.kind == "Concatenate":
        return np.concatenate(read)
    if node.kind == "DepthwiseConv2D":
        return np.repeat(read[0], node.config["depth_multiplier"])
    if node.kind == "Flatten":
        return np.tile(read[0], node.shape[-1] // len(read[0]))
    return read[0]


def _joined(num_labels: int, ties: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Returns per label the lowest one that it is tied to."""
    representative = np.arange(num_labels)
    for ones, others in ties:
        for one, other in zip(ones, others, strict=True):
            low, high = sorted((representative[one], representative[other]))
            if low != high:
                representative[representative == high] = low
    return representative


def _gates(graph: Graph, values: Values, made: dict[str, np.ndarray], num_groups: int) -> dict[str, np.ndarray]:
    """Returns `ChannelGroups.gates`: scale and offset of a normalisation, else kernel and bias of who makes a group."""
    normed = [node.name for node in graph.nodes if f"{node.name}/gamma" in values and node.kind == "BatchNormalization"]
    gates = {f"{name}/{kind}": made[name] for name in normed for kind in ("gamma", "beta")}
    is_normed = np.zeros(num_groups + 1, bool)
    for name in normed:
        is_normed[made[name]] = True
    for node in graph.nodes:
        if node.kind in MAKERS:
            owners = np.where(is_normed[made[node.name]], NO_CHANNEL, made[node.name])
            kernel = "pointwise_kernel" if node.kind == "SeparableConv2D" else "kernel"
            gates |= {f"{node.name}/{kernel}": owners, f"{node.name}/bias": owners}
    return {name: owners for name, owners in gates.items() if name in values and (owners != NO_CHANNEL).any()}
