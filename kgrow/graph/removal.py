"""Physical removal of pruned parts: a smaller network that computes the same logits.

Zeros make a file neither smaller nor faster; removed channels and nodes do. Every function here maps a network to a
smaller one and is exact up to rounding in inference. After further training the two would differ: constants become part
of moving means, and batch statistics do not include them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np

from kgrow.graph.architecture import Architecture, Block
from kgrow.graph.channels import NO_CHANNEL, channel_labels
from kgrow.graph.contract import check_arrays
from kgrow.graph.node import Node
from kgrow.graph.values import Weighted, constants_of, non_negative, read_channels


def remove_dead(weighted: Weighted, heads: Collection[int]) -> Weighted:
    """Removes everything that does not change the logits of some heads in inference, up to float32 rounding.

    It removes channels that nothing reads, that are zero, or whose constant value fits into a bias or a moving mean;
    constant summands of a sum; unread parts of a concatenation; activations without effect; and unused nodes. Every
    remaining node keeps a channel. A second call removes nothing more.

    Args:
        weighted: Network to reduce; masks are applied first.
        heads: Heads whose logits are preserved. The others stay, but layers that only they read are removed.
    """
    larger, smaller = None, masked(weighted)
    # Every step makes the architecture smaller or a weight zero, so this terminates.
    while larger is None or _extent(smaller) != _extent(larger):
        larger = smaller
        smaller = _without_superfluous_nodes(_without_unread_channels(_folded_constants(larger), heads))
    return smaller


def masked(weighted: Weighted) -> Weighted:
    """Returns the network with its pruned weights set to zero."""
    weights = {
        name: {**own, "kernel": own["kernel"] * own["mask"]} if "mask" in own else own
        for name, own in weighted.weights.items()
    }
    return Weighted(weighted.architecture, weights)


def _extent(weighted: Weighted) -> tuple[Architecture, int]:
    kernels = (own["kernel"] for own in weighted.weights.values() if "kernel" in own)
    return weighted.architecture, sum(int(np.count_nonzero(kernel)) for kernel in kernels)


class _Draft:
    """A network under modification; nodes and weights are replaced, never modified in place."""

    def __init__(self, weighted: Weighted):
        self.architecture = weighted.architecture
        self.nodes: dict[str, Node | None] = dict(weighted.architecture.by_name)
        self.weights = {name: dict(own) for name, own in weighted.weights.items()}

    def restrict(self, name: str, rows: np.ndarray, columns: np.ndarray) -> None:
        """Sets a kernel and its mask to zero outside some input rows and output columns."""
        own = self.weights[name]
        for kind in ("kernel", "mask"):
            if kind in own:
                own[kind] = own[kind] * np.outer(rows, columns).astype(own[kind].dtype)

    def add_constant(self, name: str, constant: np.ndarray) -> bool:
        """Adds a constant per channel to the output of a node; returns False if the node cannot store it."""
        own, node = self.weights[name], self.nodes[name]
        assert node is not None
        readers = self.architecture.readers[name]
        stored = node.operator.raised(own, constant)
        if stored is None and len(readers) == 1:
            reader = readers[0]
            compensated = reader.operator.compensated(self.weights[reader.name], constant)
            if compensated is not None:
                self.weights[reader.name] = dict(compensated)
                return True
        if stored is None and "kernel" in own:
            stored = {**own, "bias": constant.astype(np.float32)}
            self.nodes[name] = dataclasses.replace(node, operator=node.operator.with_bias())
        self.weights[name] = dict(own if stored is None else stored)
        return stored is not None

    def result(self) -> Weighted:
        """Returns the changed network."""
        architecture = self.architecture.with_nodes(self.nodes)
        return Weighted(architecture, {node.name: self.weights[node.name] for node in architecture.nodes})


def _folded_constants(weighted: Weighted) -> Weighted:
    """Cuts connections from channels of a constant value and adds their contribution to the nodes that read them.

    A constant other than zero stays connected to kernels larger than 1x1 with zero padding, which reduces its
    contribution at the border.
    """
    draft, constants = _Draft(weighted), constants_of(weighted)
    for kernel in weighted.architecture.kernels():
        node = weighted.architecture.by_name[kernel.name]
        own, read = draft.weights[node.name], constants[node.inputs[0]]
        gone, carried = found = node.operator.carried(read, own)
        check_arrays(node.operator, "carried", found, [(size,) for size in own["kernel"].shape[-2:]])
        if carried.any():
            draft.add_constant(node.name, carried)
        draft.restrict(node.name, ~gone, np.ones(own["kernel"].shape[-1], bool))
    return draft.result()


def _without_unread_channels(weighted: Weighted, heads: Collection[int]) -> Weighted:
    """Removes channels that do not affect the logits of some heads; those tied to others are set to zero."""
    architecture = weighted.architecture
    draft, read = _Draft(weighted), read_channels(weighted, heads)
    for kernel in architecture.kernels():
        if kernel.is_head and kernel.block_index not in heads:
            continue  # it loses its input only
        node = architecture.by_name[kernel.name]
        draft.restrict(node.name, *node.operator.sides(read[node.inputs[0]], read[node.name], True))
    dropped = {node.name: _unread_parts(architecture, node, read[node.name]) for node in architecture.nodes}
    stays = _staying(architecture, read, dropped)
    if stays is None:  # a dropped part is tied to a channel that stays
        dropped = {name: [False] * len(parts) for name, parts in dropped.items()}
        stays = _staying(architecture, read, dropped)
        assert stays is not None
    for node in architecture.nodes:
        inputs = tuple(name for name, goes in zip(node.inputs, dropped[node.name], strict=True) if not goes)
        draft.nodes[node.name] = Node(node.name, node.operator.with_channels(np.flatnonzero(stays[node.name])), inputs)
        draft.weights[node.name] = sliced(node, draft.weights[node.name], stays)
    return draft.result()


def sliced(node: Node, own: Mapping[str, np.ndarray], stays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the weights of a node for some of its input and output channels.

    Args:
        node: Node of the weights.
        own: Weights of the node.
        stays: Output channels that stay, by node name.
    """
    columns = stays[node.name]
    found = {}
    for kind, value in own.items():
        if kind in ("kernel", "mask"):
            rows, made = node.operator.sides(stays[node.inputs[0]], columns, True)
            found[kind] = value[..., rows, :][..., made]
        else:
            found[kind] = value[..., columns] if value.shape[-1:] == columns.shape else value
    return found


def _unread_parts(architecture: Architecture, node: Node, read: np.ndarray) -> list[bool]:
    """Returns which inputs of a concatenating node can be left out because no channel of them is read."""
    shapes = architecture.input_shapes(node)
    numbers = [np.full(shape[-1], number) for number, shape in enumerate(shapes)]
    sources = node.operator.aligned(numbers, shapes)
    if len(shapes) == 1 or len(sources) != 1:
        return [False] * len(shapes)
    unread = [not read[sources[0] == number].any() for number in range(len(shapes))]
    if all(unread):
        unread[0] = False
    return unread


def _staying(
    architecture: Architecture, read: Mapping[str, np.ndarray], dropped: Mapping[str, list[bool]]
) -> dict[str, np.ndarray] | None:
    """Returns which channels stay, by name: those that are read, those tied to them, and one of every node.

    Returns None if a dropped part is tied to a channel that stays.
    """
    labels = channel_labels(architecture)
    kept = np.zeros(1 + max(int(own.max(initial=NO_CHANNEL)) for own in labels.values()) + 1, bool)
    kept[NO_CHANNEL] = True  # the last place
    for name, own in labels.items():
        kept[own[read[name]]] = True
    for own in labels.values():
        if not kept[own].any():
            kept[own[0]] = True
    stays = {name: kept[own] for name, own in labels.items()}
    for node in architecture.nodes:
        inputs = [
            np.zeros_like(stays[name]) if goes else stays[name]
            for name, goes in zip(node.inputs, dropped[node.name], strict=True)
        ]
        sources = node.operator.aligned(inputs, architecture.input_shapes(node))
        if any(np.any(source != sources[0]) for source in sources[1:]):
            return None
        stays[node.name] = sources[0] if sources else stays[node.name]
    return stays


def _without_superfluous_nodes(weighted: Weighted) -> Weighted:
    architecture, constants = weighted.architecture, constants_of(weighted)
    draft, positive = _Draft(weighted), non_negative(weighted.architecture)
    held: dict[str, str] = {}  # by removed node, its replacement
    for node in architecture.nodes:
        inputs = _without_constants(draft, node, constants) if node.operator.adds_inputs else node.inputs
        changed = dataclasses.replace(node, inputs=tuple(held.get(name, name) for name in inputs))
        draft.nodes[node.name] = _smallest(draft, changed)
        is_needless = node.operator.keeps_non_negative and inputs[0] in positive
        if len(inputs) == 1 and (node.operator.is_variadic or is_needless):
            held[node.name] = changed.inputs[0]
    nodes = {name: None if name in held else node for name, node in draft.nodes.items()}
    draft.nodes = _without_unread_nodes(architecture, nodes)
    return draft.result()


def _without_constants(draft: _Draft, node: Node, constants: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Returns the inputs of a sum, without constants that another summand can store."""
    inputs = list(node.inputs)
    for name in node.inputs:
        constant, others = constants[name], [other for other in inputs if other != name]
        if np.isnan(constant).any() or not others:
            continue
        alone = [other for other in others if len(draft.architecture.readers[other]) == 1]
        if not constant.any() or any(draft.add_constant(other, constant) for other in alone):
            inputs.remove(name)
    return tuple(inputs)


def _smallest(draft: _Draft, node: Node) -> Node:
    """Returns the node; a kernel that is zero is reduced to one tap."""
    operator, own = node.operator.without_taps(draft.weights[node.name])
    if "kernel" in own:
        shapes = draft.architecture.input_shapes(draft.architecture.by_name[node.name])
        check_arrays(node.operator, "without_taps", (own["kernel"],), (operator.kernel_shape(*shapes),))
    draft.weights[node.name] = dict(own)
    return dataclasses.replace(node, operator=operator)


def _without_unread_nodes(architecture: Architecture, nodes: Mapping[str, Node | None]) -> dict[str, Node | None]:
    heads = {node.name for block in architecture.blocks for node in block.head}
    needed: set[str] = set()
    for name in reversed(list(nodes)):
        node = nodes[name]
        if node is not None and (name in heads or name in needed):
            needed.update((name, *node.inputs))
    return {name: node if name in needed else None for name, node in nodes.items()}


def up_to_head(architecture: Architecture, last: int) -> Architecture:
    """Returns the architecture up to a block, without the blocks after it."""
    blocks: tuple[Block, ...] = architecture.blocks[: last + 1]
    return dataclasses.replace(architecture, blocks=blocks)
