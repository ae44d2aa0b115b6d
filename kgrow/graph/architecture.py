"""`Architecture`: a network as a frozen, JSON-serialisable value from which Keras models are built."""

from __future__ import annotations

import dataclasses
import functools
import html
import math
import numbers
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kgrow._checks import check_num_classes
from kgrow._plugins import PluginError
from kgrow._schema import decoded
from kgrow.graph.contract import check_operator
from kgrow.graph.node import IMAGE, KernelNode, Node
from kgrow.graph.operators import Shape
from kgrow.graph.scaling import Scaling
from kgrow.registry import broken, is_foreign

# Largest size of one map or kernel: a GiB in float32. An architecture from a file may contain any size.
MOST_VALUES = 2**28


@dataclasses.dataclass(frozen=True)
class Block:
    """The unit of growth: nodes, and an internal classifier on one of their outputs.

    Args:
        nodes: Nodes of the block, each after those that it reads.
        head: Nodes of the internal classifier; the last one gives the logits. No other block reads them.
    """

    nodes: tuple[Node, ...]
    head: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.head:
            raise ValueError("`head` must hold at least one node, but is empty.")

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types; `from_json` restores an equal value."""
        return {part: [node.to_json() for node in getattr(self, part)] for part in ("nodes", "head")}

    @staticmethod
    def from_json(value: Any, field: str = "block") -> Block:
        """Rebuilds a block from `to_json`, also after it was stored in a file."""
        decoded({"nodes": [Any], "head": [Any]}, value, field)
        parts = (
            tuple(Node.from_json(node, f"{field}.{part}[{index}]") for index, node in enumerate(value[part]))
            for part in ("nodes", "head")
        )
        return Block(*parts)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network as a value, from which it can be built, and counted without building it.

    Args:
        input_shape: Shape of the raw image, (height, width, channels).
        num_classes: Number of logits per head.
        scaling: Scaling of raw pixels inside the network.
        blocks: Blocks in the order in which they are grown.

    Raises:
        ValueError: If a node reads a later or incompatible output, two nodes have the same name, or a head does not
            give one logit per class.
    """

    input_shape: tuple[int, int, int]
    num_classes: int
    scaling: Scaling
    blocks: tuple[Block, ...] = ()

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        sides = self.input_shape
        if len(sides) != 3 or any(not isinstance(side, int) or isinstance(side, bool) or side < 1 for side in sides):
            raise ValueError(f"`input_shape` must be (height, width, channels), but got {self.input_shape}.")
        if math.prod(sides) > MOST_VALUES:
            raise ValueError(f"`input_shape` must hold at most {MOST_VALUES} values, but is {sides}.")
        if len(self.scaling.mean) != sides[2]:
            raise ValueError(f"`scaling` must be for {sides[2]} channels, but is for {len(self.scaling.mean)}.")
        _ = self.shapes  # checks all nodes

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        return hash((self.input_shape, self.num_classes, self.scaling, self.blocks))

    @functools.cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, heads included, in execution order."""
        return tuple(node for block in self.blocks for node in (*block.nodes, *block.head))

    @functools.cached_property
    def by_name(self) -> dict[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    @functools.cached_property
    def owners(self) -> dict[str, tuple[int, bool]]:
        """The index of the block of each node, and whether the node belongs to the head."""
        return {
            node.name: (index, is_head)
            for index, block in enumerate(self.blocks)
            for is_head, nodes in ((False, block.nodes), (True, block.head))
            for node in nodes
        }

    @functools.cached_property
    def readers(self) -> dict[str, tuple[Node, ...]]:
        """The nodes that read each name, `"image"` included."""
        found: dict[str, list[Node]] = {name: [] for name in (IMAGE, *self.by_name)}
        for node in self.nodes:
            for source in dict.fromkeys(node.inputs):
                found[source].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @functools.cached_property
    def shapes(self) -> dict[str, Shape]:
        """The output shape of each name, `"image"` included, without the batch."""
        shapes: dict[str, Shape] = {IMAGE: self.input_shape}
        for index, block in enumerate(self.blocks):
            for node in block.nodes:
                _add_shape(shapes, node)
            inside = dict(shapes)
            for node in block.head:
                _add_shape(inside, node)
            if inside[block.head[-1].name] != (self.num_classes,):
                raise ValueError(
                    f"`blocks[{index}].head` must end in {self.num_classes} logits, one per class, but ends in "
                    f"{inside[block.head[-1].name]}."
                )
        heads = {node.name: node for block in self.blocks for node in block.head}
        for node in heads.values():
            _add_shape(shapes, node)
        return shapes

    def input_shapes(self, node: Node) -> list[Shape]:
        """Returns the input shapes of a node."""
        return [self.shapes[name] for name in node.inputs]

    def logits(self, head: int) -> str:
        """Returns the name of the node that gives the logits of a head."""
        return self.blocks[head].head[-1].name

    def grow(self, block: Block) -> Architecture:
        """Returns the architecture with one additional block."""
        return dataclasses.replace(self, blocks=(*self.blocks, block))

    def with_nodes(self, nodes: Mapping[str, Node | None]) -> Architecture:
        """Returns the architecture with some nodes replaced, or removed if the value is None."""

        def changed(part: tuple[Node, ...]) -> tuple[Node, ...]:
            replaced = (nodes.get(node.name, node) for node in part)
            return tuple(node for node in replaced if node is not None)

        blocks = (Block(changed(block.nodes), changed(block.head)) for block in self.blocks)
        return dataclasses.replace(self, blocks=tuple(blocks))

    # Counting.

    @functools.cached_property
    def _kernels(self) -> tuple[KernelNode, ...]:
        return tuple(self._find_kernels())

    def _find_kernels(self) -> Iterator[KernelNode]:
        for node in self.nodes:
            shape = node.operator.kernel_shape(*self.input_shapes(node))
            if shape:
                positions = math.prod(self.shapes[node.name][:-1])
                yield KernelNode(node.name, shape, positions, *self.owners[node.name])

    def kernels(self, block_index: int | None = None) -> tuple[KernelNode, ...]:
        """Returns the nodes with a kernel, of one block or of all."""
        return tuple(kernel for kernel in self._kernels if block_index in (None, kernel.block_index))

    def kernel_params(self, block_index: int | None = None) -> int:
        """Counts connections: the weights of all kernels, without biases and normalizations."""
        return sum(kernel.kernel_params for kernel in self.kernels(block_index))

    def trainable_params(self) -> int:
        """Counts kernels, biases, scales and offsets of normalizations, and the mixing weight of heads with pooling."""
        return self.kernel_params() + sum(trained for trained, _ in self._num_weights())

    def params(self) -> int:
        """Counts all variables, moving statistics included, as Keras' `count_params` does."""
        return self.trainable_params() + sum(others for _, others in self._num_weights())

    def _num_weights(self) -> list[tuple[int, int]]:
        return [node.operator.num_weights(*self.input_shapes(node)) for node in self.nodes]

    def macs(
        self, head: int | None = None, *, kept: Mapping[str, int] | None = None, passing: Collection[int] = ()
    ) -> int:
        """Counts the multiply-accumulates of all kernels up to one head, per image.

        Args:
            head: Index of the head that answers; the last one by default.
            kept: Kept connections per kernel name, for a mask-aware count; all of them by default.
            passing: Heads that are evaluated and counted too, if they come before `head`.
        """
        head = len(self.blocks) - 1 if head is None else head
        if not 0 <= head < len(self.blocks):
            raise ValueError(f"`head` must be in [0, {len(self.blocks) - 1}], but got {head}.")
        return sum(
            (kernel.kernel_params if kept is None else kept[kernel.name]) * kernel.positions
            for kernel in self.kernels()
            if kernel.block_index <= head and (not kernel.is_head or kernel.block_index in (head, *passing))
        )

    # JSON.

    def _repr_html_(self) -> str:
        """Returns a table of the kernels for a notebook."""
        rows = "".join(
            f"<tr><td>{html.escape(kernel.name)}</td><td>{'x'.join(map(str, kernel.kernel_shape))}</td>"
            f"<td>{kernel.kernel_params}</td></tr>"
            for kernel in self.kernels()
        )
        what = f"{len(self.blocks)} blocks, {self.kernel_params()} connections, {self.macs()} multiply-accumulates"
        return (
            f"<table><caption>{what}</caption><tr><th>kernel</th><th>shape</th><th>connections</th></tr>{rows}</table>"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types; `from_json` restores an equal value."""
        return {
            "input_shape": list(self.input_shape),
            "num_classes": self.num_classes,
            "scaling": {"mean": list(self.scaling.mean), "std": list(self.scaling.std)},
            "blocks": [block.to_json() for block in self.blocks],
        }

    @staticmethod
    def from_json(value: Any, field: str = "") -> Architecture:
        """Rebuilds an architecture from `to_json`, also after it was stored in a file.

        Args:
            value: Value that a JSON parser returned.
            field: Position of the value in its document.

        Raises:
            ValueError: If a field is missing or wrong; the message names it.
        """
        kinds = {"input_shape": tuple[int, int, int], "num_classes": int, "scaling": Scaling, "blocks": list[Any]}
        decoded({name: Any for name in kinds}, value, field)
        start = f"{field}." if field else ""
        shape, classes, scaling, blocks = (decoded(kind, value[name], start + name) for name, kind in kinds.items())
        built = (Block.from_json(block, f"{start}blocks[{index}]") for index, block in enumerate(blocks))
        return Architecture(shape, classes, scaling, tuple(built))


def _add_shape(shapes: dict[str, Shape], node: Node) -> None:
    missing = [name for name in node.inputs if name not in shapes]
    if missing or node.name in shapes:
        raise ValueError(
            f"`inputs` of {node.name} must be nodes before it, and its name must be new, but it reads {node.inputs}."
        )
    inputs = [shapes[name] for name in node.inputs]
    try:
        shape, kernel_shape = node.operator.output_shape(*inputs), node.operator.kernel_shape(*inputs)
    except PluginError:
        raise
    except ValueError as error:
        raise ValueError(f"Node {node.name} cannot be: {error}") from error
    if is_foreign(node.operator) and not (_is_shape(shape) and _is_shape(kernel_shape)):
        raise broken(node.operator, "give tuples of integers as shapes", f"gives {shape!r} and {kernel_shape!r}")
    if min(shape, default=0) < 1 or math.prod(shape) > MOST_VALUES:
        raise ValueError(
            f"Node {node.name} must give 1 to {MOST_VALUES} values, none of its sides empty, but gives {shape}."
        )
    if math.prod(kernel_shape) > MOST_VALUES:
        raise ValueError(f"The kernel of {node.name} must have at most {MOST_VALUES} weights, but is {kernel_shape}.")
    if is_foreign(node.operator):
        check_operator(node.operator, tuple(inputs))
    shapes[node.name] = shape


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(side, numbers.Integral) for side in value)
