"""`Architecture`: a frozen, JSON-serialisable value of which the Keras model is an interpreter."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping
from typing import Any

from kgrow._checks import check_num_classes
from kgrow._schema import decoded
from kgrow.architecture import operations
from kgrow.architecture.countable import Countable
from kgrow.architecture.edge import Edge, inputs_of, nodes_of, sorted_edges
from kgrow.architecture.operation import Operation
from kgrow.architecture.scaling import Scaling

CELL_KINDS = ("conv", "residual", "graph")
JOINS = ("none", "add", "concat")
SHORTCUTS = ("identity", "projection", "none")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}, but got {value!r}.")


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"`{name}` must be a positive integer, but got {value!r}.")


@dataclasses.dataclass(frozen=True)
class Cell:
    """The repeated unit of a block; it reads feature maps and makes one.

    A `conv` cell is Conv-BN-ReLU. A `residual` cell is Conv-BN-ReLU-Conv-BN plus a shortcut, then ReLU. A `graph` cell
    is that of a genotype: each input through Conv-BN is a node, each further node the sum of its edges, and the output
    these further nodes, stacked, then ReLU. Feature maps are numbered over the whole network: map `j` is the output of
    the `j`-th cell, the stem being cell 0. None is negative.

    Args:
        kind: `"conv"`, `"residual"` or `"graph"`.
        filters: Channels of the output.
        inputs: Numbers of the feature maps read, the newest last; empty for the image. Of a graph cell the last one is
            node 0, and the other, if there is one, node 1.
        hidden_filters: Channels between the two convolutions of a residual cell, or of each node of a graph cell; 0 for
            a conv cell.
        kernel_size: Side of the square kernels, odd; edges have their own.
        stride: Down-sampling factor of the first convolution, or of the edges that read an input, 1 or 2 then.
        join: How several inputs become one: `"concat"`, `"add"` (every earlier map through its own 1x1 convolution to
            the newest one's channels), or `"none"` for a single input. Maps of a higher resolution are average-pooled.
            A graph cell does not join: the 1x1 convolutions that it reads its inputs through step over positions.
        shortcut: `"identity"`, `"projection"` (1x1 convolution and BN) or `"none"`; a stride is average-pooled.
        edges: Of a graph cell, in any order; several may join two nodes.
        input_stride: Of the 1x1 convolution that a graph cell reads its only input through.
    """

    kind: str
    filters: int
    inputs: tuple[int, ...] = ()
    hidden_filters: int = 0
    kernel_size: int = 3
    stride: int = 1
    join: str = "none"
    shortcut: str = "none"
    edges: tuple[Edge, ...] = ()
    input_stride: int = 1

    def __post_init__(self) -> None:
        _check_choice("kind", self.kind, CELL_KINDS)
        _check_choice("join", self.join, JOINS)
        _check_choice("shortcut", self.shortcut, SHORTCUTS)
        _check_counts(
            filters=self.filters, kernel_size=self.kernel_size, stride=self.stride, input_stride=self.input_stride
        )
        if self.kernel_size % 2 == 0:
            raise ValueError(f"`kernel_size` must be odd, but got {self.kernel_size}.")
        if self.kind == "conv" and (self.hidden_filters or self.shortcut != "none"):
            raise ValueError("`hidden_filters` and `shortcut` do not belong to a conv cell.")
        if self.kind != "conv":
            _check_counts(hidden_filters=self.hidden_filters)
        if self.kind == "graph":
            self._check_edges()
        elif self.edges or self.input_stride > 1:
            raise ValueError(f"`edges` and `input_stride` belong to graph cells, but this is a {self.kind} cell.")
        elif self.join == "none" and len(self.inputs) > 1:
            raise ValueError(f"`inputs` must be a single map when `join` is 'none', but got {self.inputs}.")

    def _check_edges(self) -> None:
        object.__setattr__(self, "edges", sorted_edges(self.edges, "edges"))
        num_nodes, read = len(nodes_of(self.edges)), inputs_of(self.edges)
        if self.filters != num_nodes * self.hidden_filters:
            raise ValueError(
                f"`filters` must be `hidden_filters` of each of {num_nodes} nodes together, but got {self.filters} for "
                f"nodes of {self.hidden_filters}."
            )
        if read != tuple(range(len(self.inputs))):
            raise ValueError(
                f"`inputs` must be one map per input that `edges` read, the newest being 0, but got {self.inputs} for "
                f"inputs {read}."
            )
        if self.input_stride > 1 and len(self.inputs) > 1:
            raise ValueError(
                "`input_stride` must be 1 if there are two inputs: the older one is brought to the newest."
            )
        if self.stride > 2 or self.kernel_size != 3 or (self.join, self.shortcut) != ("none", "none"):
            raise ValueError(
                "`stride` of a graph cell must be 1 or 2, and it has no `kernel_size`, `join` or `shortcut`, but got "
                f"{self}."
            )

    def graph_inputs(self) -> dict[int, int]:
        """Returns per input that edges read, as a node, the number of its map; empty for other kinds of cells."""
        return {node: self.inputs[-1 - node] for node in inputs_of(self.edges)}


@dataclasses.dataclass(frozen=True)
class Head:
    """The internal classifier at the end of a block: mixed max/average pooling, then Dense.

    Args:
        grid: Cells per side, at least, that the pooled map is cut into; a side shorter than twice that is not pooled.
            4 is the published design (Kaya, Hong and Dumitras, "Shallow-Deep Networks", ICML 2019); 1 pools the whole
            map.
    """

    grid: int = 4

    def __post_init__(self) -> None:
        _check_counts(grid=self.grid)


@dataclasses.dataclass(frozen=True)
class Block:
    """The unit the network grows by: cells, and an internal classifier on the last one's output."""

    cells: tuple[Cell, ...]
    head: Head = Head()

    def __post_init__(self) -> None:
        if not self.cells:
            raise ValueError("`cells` must hold at least one cell, but is empty.")


@dataclasses.dataclass(frozen=True)
class Architecture(Countable):
    """A growing network as a value: everything needed to rebuild it, and to count it without building it.

    Args:
        input_shape: (height, width, channels) of the raw image.
        num_classes: Logits per head.
        scaling: Applied to raw pixels inside the network.
        blocks: In growth order; the first one starts with the stem, the only cell that reads the image.

    Raises:
        ValueError: If a cell reads a map that does not exist yet or cannot be brought to the size of its newest, or an
            identity shortcut joins maps of different channel counts.
    """

    input_shape: tuple[int, int, int]
    num_classes: int
    scaling: Scaling
    blocks: tuple[Block, ...] = ()

    def __post_init__(self) -> None:
        _check_counts(num_classes=self.num_classes)
        check_num_classes(self.num_classes)
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ValueError(f"`input_shape` must be (height, width, channels), but got {self.input_shape}.")
        for number, cell in enumerate(self.cells):
            if (not cell.inputs) != (number == 0) or any(not 0 <= i < number for i in cell.inputs):
                raise ValueError(
                    f"`inputs` of cell {number} must number earlier cells (only cell 0, the stem, reads the image), "
                    f"but got {cell.inputs}."
                )
            if not operations.are_joinable(self, number):
                raise ValueError(
                    f"`inputs` of cell {number} must name the smallest map last, and larger ones that a whole stride "
                    f"brings to its size, but got {cell.inputs}, of (height, width, channels) "
                    f"{', '.join(str(self.feature_shape(source)) for source in cell.inputs)}."
                )
            channels = operations.joined_channels(self, number)
            if cell.shortcut == "identity" and channels != cell.filters:
                raise ValueError(
                    f"`shortcut` of cell {number} must be 'projection', not 'identity': it joins {channels} channels "
                    f"to {cell.filters}."
                )

    @functools.cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All cells in order; their positions are the numbers of the feature maps."""
        return tuple(cell for block in self.blocks for cell in block.cells)

    def grow(self, block: Block) -> Architecture:
        """Returns the architecture with one block more."""
        return dataclasses.replace(self, blocks=(*self.blocks, block))

    def first_cell(self, block_index: int) -> int:
        """Returns the number of a block's first cell."""
        return sum(len(block.cells) for block in self.blocks[:block_index])

    def cell_operations(self, number: int) -> tuple[Operation, ...]:
        """Returns the operations of one cell, in the order the network runs them."""
        owner = next(index for index in range(len(self.blocks)) if number < self.first_cell(index + 1))
        return tuple(op for op in self.operations if op.name.startswith(f"block_{owner}/cell_{number}/"))

    def feature_shape(self, number: int) -> tuple[int, int, int]:
        """Returns (height, width, channels) of a feature map."""
        return operations.feature_shape(self, number)

    @functools.cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation with an output of its own, in the order the network runs them."""
        return tuple(operations.trace(self))

    def macs(
        self, head: int | None = None, *, kept: Mapping[str, int] | None = None, passing: Collection[int] = ()
    ) -> int:
        """Counts the multiply-accumulates of convolutions and Dense layers up to one head.

        Args:
            head: Index of the head that answers; the last one by default.
            kept: Kept connections per kernel name, for a mask-aware count; all of them by default.
            passing: Heads that are evaluated and counted too, those of them that come before it.
        """
        head = len(self.blocks) - 1 if head is None else head
        if not 0 <= head < len(self.blocks):
            raise ValueError(f"`head` must be in [0, {len(self.blocks) - 1}], but got {head}.")
        return sum(
            (op.kernel_params if kept is None else kept[op.name]) * op.positions
            for op in self.kernels()
            if op.block_index <= head and (not op.is_head or op.block_index in (head, *passing))
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types; `from_json` gives back an equal value."""
        value = dataclasses.asdict(self)
        for cell in (cell for block in value["blocks"] for cell in block["cells"] if cell["kind"] != "graph"):
            del cell["edges"], cell["input_stride"]  # as documents were before there were graph cells
        return value

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Architecture:
        """Rebuilds an architecture from `to_json`, also after a trip through a file.

        Raises:
            ValueError: If a field is missing or wrong; the message names it.
        """
        return decoded(Architecture, value)


def block_from_json(value: Mapping[str, Any]) -> Block:
    """Rebuilds one block, as the event log stores it."""
    return decoded(Block, value)
