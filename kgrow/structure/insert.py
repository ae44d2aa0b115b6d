"""`InsertIdentity` and `InsertCell`: make the network deeper without changing its outputs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from kgrow._checks import check_positive_int
from kgrow.graph import Architecture, Block, Node
from kgrow.graph.builder import Builder
from kgrow.graph.cells import add_inverted
from kgrow.graph.operators import Conv
from kgrow.structure.change import Change, WeightMap


@dataclasses.dataclass(frozen=True)
class InsertIdentity(Change):
    """Inserts a convolution that returns its input (Net2DeeperNet without an activation).

    Args:
        after: Name of a node that returns a map; all its readers read the convolution instead.
        name: Name of the convolution.
        side: Side of its kernel, odd.

    References:
        Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016,
        https://arxiv.org/abs/1511.05641, section 2.4.
    """

    after: str
    name: str
    side: int = 3
    event: ClassVar[str] = "inserted"

    def __post_init__(self) -> None:
        object.__setattr__(self, "side", check_positive_int(self.side, "side"))
        check_node_name(self.name)

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """See `Change.apply`."""
        channels = map_after(architecture, self.after, self.side, "side")[2]
        kernel = np.zeros((self.side, self.side, channels, channels), np.float32)
        kernel[self.side // 2, self.side // 2] = np.eye(channels)
        inserted = Node(self.name, Conv((self.side, self.side), filters=channels), (self.after,))
        return inserted_after(architecture, self.after, (inserted,)), WeightMap(given={f"{self.name}/kernel": kernel})


@dataclasses.dataclass(frozen=True)
class InsertCell(Change):
    """Inserts an inverted residual cell that returns its input: the scale of its last normalization is zero.

    Unlike an identity convolution it starts without any symmetry: its branch is initialized as usual, and the scale is
    the first to learn.

    Args:
        after: Name of a node that returns a map; all its readers read the cell's sum instead.
        name: Prefix of the names of the cell's nodes.
        hidden_filters: Number of channels of the depthwise convolution.
        kernel_size: Side of its kernels, odd.

    References:
        Goyal et al., "Accurate, Large Minibatch SGD", 2017, https://arxiv.org/abs/1706.02677, section 5.1, start
        residual branches with a zero scale. The cell is that of MobileNetV2; see `kgrow.graph.Cell`.
    """

    after: str
    name: str
    hidden_filters: int
    kernel_size: int = 3

    event: ClassVar[str] = "inserted_cell"

    def __post_init__(self) -> None:
        for field in ("hidden_filters", "kernel_size"):
            object.__setattr__(self, field, check_positive_int(getattr(self, field), field))
        check_node_name(self.name)

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """See `Change.apply`."""
        shape = map_after(architecture, self.after, self.kernel_size, "kernel_size")
        builder = Builder(architecture.input_shape)
        builder.shapes[self.after] = shape
        add_inverted(builder, self.name, self.after, shape[2], self.hidden_filters, self.kernel_size, is_added=True)
        scale = {f"{self.name}/second/norm/gamma": np.zeros(shape[2], np.float32)}
        return inserted_after(architecture, self.after, builder.take()), WeightMap(given=scale)


def map_after(architecture: Architecture, after: str, side: int, field: str) -> tuple[int, ...]:
    """Returns the shape (height, width, channels) of the map after which something is inserted.

    Args:
        architecture: Architecture of the network.
        after: Name of the node that gives the map.
        side: Side of the inserted kernels.
        field: Name of the side in messages.

    Raises:
        ValueError: If there is no such map, or the side is even: no kernel of it leaves a map where it is.
    """
    shape = architecture.shapes[after] if after in architecture.by_name else ()
    if len(shape) != 3 or side % 2 == 0:
        raise ValueError(
            f"`after` must give a map and `{field}` be odd, but {after} gives {shape}, and `{field}` is {side}."
        )
    return shape


def inserted_after(architecture: Architecture, after: str, inserted: Sequence[Node]) -> Architecture:
    """Returns an architecture in which whatever read a node reads the last one of the inserted nodes instead."""

    def moved(nodes: Sequence[Node]) -> Iterator[Node]:
        for node in nodes:
            inputs = tuple(inserted[-1].name if source == after else source for source in node.inputs)
            yield dataclasses.replace(node, inputs=inputs)
            if node.name == after:
                yield from inserted

    blocks = (Block(tuple(moved(block.nodes)), tuple(moved(block.head))) for block in architecture.blocks)
    return dataclasses.replace(architecture, blocks=tuple(blocks))


def check_node_name(name: str) -> None:
    """Checks the name of a node or the prefix of such names."""
    if not re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_./-]*", name):
        raise ValueError(f"`name` must be letters, digits, '_', '.', '-' and '/', but got {name!r}.")
