"""Cells: the repeated units of a network, and their construction from nodes.

A `Cell` is a specification; `of_cells` builds it. Other modules do not use cells: an `Architecture` has nodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kgrow._checks import check_positive_int
from kgrow._rules import check_fields, one_of
from kgrow.graph.architecture import Architecture, Block
from kgrow.graph.builder import Builder
from kgrow.graph.edge import Edge, inputs_of, nodes_of, sorted_edges
from kgrow.graph.genotype_cell import add_genotype_cell
from kgrow.graph.node import IMAGE
from kgrow.graph.operators import Add, Concat, Conv
from kgrow.graph.operators.sides import reduced
from kgrow.graph.scaling import Scaling

CELL_KINDS = ("conv", "residual", "inverted", "graph")
JOINS = ("none", "add", "concat")
SHORTCUTS = ("identity", "projection", "none")


@dataclasses.dataclass(frozen=True)
class Cell:
    """The repeated unit of a block; it reads feature maps and makes one.

    A `conv` cell is Conv-BN-ReLU. A `residual` cell is Conv-BN-ReLU-Conv-BN plus a shortcut, then ReLU. An `inverted`
    cell widens its input by a 1x1 convolution, convolves each channel alone, and narrows it again without ReLU, plus
    its input if that has the same shape (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    CVPR 2018, Table 1 and Figure 4). A `graph` cell is that of a genotype: each input after Conv-BN is a node, each
    further node the sum of its edges, and the output is the concatenation of these further nodes, then ReLU. Feature
    maps are numbered over the whole network: map `j` is the output of the `j`-th cell, the stem being cell 0. Only maps
    of inverted cells have negative values.

    Args:
        kind: Kind of cell: `"conv"`, `"residual"`, `"inverted"` or `"graph"`.
        filters: Number of output channels.
        inputs: Numbers of the feature maps read, the newest last; empty for the image. In a graph cell the last one is
            node 0, and the other, if there is one, node 1.
        hidden_filters: Number of channels between the two convolutions of a residual cell, of the depthwise convolution
            of an inverted cell, or of each node of a graph cell; 0 for a conv cell.
        kernel_size: Side of the square kernels, odd; edges have their own.
        stride: Down-sampling factor of the first convolution, in an inverted cell of the depthwise one. In a graph
            cell, stride of the edges that read an input, 1 or 2.
        join: Combination of several inputs: `"concat"`, `"add"` (every earlier map through its own 1x1 convolution to
            the newest one's channels), or `"none"` for a single input. Maps of a higher resolution are average-pooled.
            A graph cell does not join: the 1x1 convolutions on its inputs have strides.
        shortcut: `"identity"`, `"projection"` (1x1 convolution and BN) or `"none"`; for a stride it is average-pooled.
            An inverted cell has `"identity"` without a stride, or `"none"`.
        edges: Edges of a graph cell, in any order; several may join two nodes.
        input_stride: Stride of the 1x1 convolution on the only input of a graph cell.
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
        names = {"kind": one_of(CELL_KINDS), "join": one_of(JOINS), "shortcut": one_of(SHORTCUTS)}
        counts = dict.fromkeys(("filters", "kernel_size", "stride", "input_stride"), check_positive_int)
        check_fields(self, {**names, **counts})
        if self.kernel_size % 2 == 0:
            raise ValueError(f"`kernel_size` must be odd, but got {self.kernel_size}.")
        if self.kind == "conv" and (self.hidden_filters or self.shortcut != "none"):
            raise ValueError("`hidden_filters` and `shortcut` do not belong to a conv cell.")
        if self.kind != "conv":
            check_fields(self, {"hidden_filters": check_positive_int})
        if self.kind == "inverted" and self.shortcut != "none" and (self.shortcut, self.stride) != ("identity", 1):
            raise ValueError(f"`shortcut` of an inverted cell is its unchanged input or 'none', but got {self}.")
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
        """Returns, for each input node that edges read, the number of its map; empty for other kinds of cells."""
        return {node: self.inputs[-1 - node] for node in inputs_of(self.edges)}


@dataclasses.dataclass(frozen=True)
class Head:
    """The internal classifier at the end of a block: mixed max/average pooling, then Dense.

    Args:
        grid: Smallest number of cells per side into which the pooled map is divided; a side shorter than twice that is
            not pooled. 4 is the published design (Kaya, Hong and Dumitras, "Shallow-Deep Networks", ICML 2019); 1 pools
            the whole map.
    """

    grid: int = 4

    def __post_init__(self) -> None:
        check_fields(self, {"grid": check_positive_int})


@dataclasses.dataclass(frozen=True)
class CellBlock:
    """A block of cells, and an internal classifier on the last one's output.

    Args:
        cells: One or more cells.
        head: Internal classifier.
    """

    cells: tuple[Cell, ...]
    head: Head = Head()

    def __post_init__(self) -> None:
        if not self.cells:
            raise ValueError("`cells` must hold at least one cell, but is empty.")


def of_cells(
    input_shape: tuple[int, int, int], num_classes: int, scaling: Scaling, blocks: Sequence[CellBlock]
) -> Architecture:
    """Returns the network of the given cells.

    Args:
        input_shape: Shape of the raw image, (height, width, channels).
        num_classes: Number of logits per head.
        scaling: Scaling of raw pixels inside the network.
        blocks: Blocks in the order in which they are grown; the first one starts with the stem, the only cell that
            reads the image.

    Raises:
        ValueError: If a cell reads a map that does not exist yet or cannot be brought to the size of its newest, or an
            identity shortcut joins maps of different channel counts.
    """
    builder = Builder(input_shape)
    maps: list[str] = []
    built: list[Block] = []
    for index, block in enumerate(blocks):
        for cell in block.cells:
            _check_inputs(cell, len(maps))
            try:
                maps.append(_add_cell(builder, f"block_{index}/cell_{len(maps)}", cell, maps))
            except ValueError as error:
                raise ValueError(f"Cell {len(maps)} cannot be: {error}") from error
        nodes = builder.take()
        builder.head(f"block_{index}/head", maps[-1], block.head.grid, num_classes)
        built.append(Block(nodes, builder.take()))
    return Architecture(input_shape, num_classes, scaling, tuple(built))


def _check_inputs(cell: Cell, number: int) -> None:
    if (not cell.inputs) != (number == 0) or any(not 0 <= i < number for i in cell.inputs):
        raise ValueError(
            f"`inputs` of cell {number} must number earlier cells (only cell 0, the stem, reads the image), but got "
            f"{cell.inputs}."
        )


def _add_cell(builder: Builder, name: str, cell: Cell, maps: Sequence[str]) -> str:
    """Appends a cell and returns the name of its output."""
    read = [maps[number] for number in cell.inputs] or [IMAGE]
    height, width = (reduced(side, cell.input_stride) for side in builder.shapes[read[-1]][:2])
    if cell.kind == "graph":
        inputs = {node: maps[number] for node, number in cell.graph_inputs().items()}
        edges, filters = cell.edges, cell.hidden_filters
        return add_genotype_cell(builder, name, edges, filters, cell.stride, (height, width), inputs)
    source = _join(builder, name, cell, read, (height, width))
    strides = (cell.stride, cell.stride)
    if cell.kind == "conv":
        return builder.conv_norm(f"{name}/first", source, cell.filters, cell.kernel_size, strides, relu=True)
    if cell.kind == "inverted":
        is_added = cell.shortcut == "identity"
        if is_added:
            _check_identity(builder, cell, source)
        sizes = (cell.filters, cell.hidden_filters, cell.kernel_size, cell.stride)
        return add_inverted(builder, name, source, *sizes, is_added=is_added)
    first = builder.conv_norm(f"{name}/first", source, cell.hidden_filters, cell.kernel_size, strides, relu=True)
    second = builder.conv_norm(f"{name}/second", first, cell.filters, cell.kernel_size, relu=cell.shortcut == "none")
    return second if cell.shortcut == "none" else _with_shortcut(builder, name, cell, source, second)


def add_inverted(  # noqa: PLR0913 - the parts of a cell
    builder: Builder,
    name: str,
    source: str,
    filters: int,
    hidden_filters: int,
    kernel_size: int,
    stride: int = 1,
    *,
    is_added: bool,
) -> str:
    """Appends an inverted cell and returns the name of its output.

    Args:
        builder: List of nodes to append to.
        name: Prefix of the nodes' names.
        source: Name of the map that it reads.
        filters: Number of output channels.
        hidden_filters: Number of channels of the depthwise convolution.
        kernel_size: Side of its kernels.
        stride: Stride of it.
        is_added: Whether the input is added to the output.
    """
    wide = builder.conv_norm(f"{name}/first", source, hidden_filters, 1, relu=True)
    inner = builder.depthwise(f"{name}/depthwise", wide, kernel_size, stride)
    inner = builder.relu(f"{name}/depthwise/relu", builder.norm(f"{name}/depthwise", inner))
    narrow = builder.conv_norm(f"{name}/second", inner, filters, 1)
    return builder.add(f"{name}/sum", Add(), narrow, source) if is_added else narrow


def _check_identity(builder: Builder, cell: Cell, source: str) -> None:
    if builder.shapes[source][2] != cell.filters:
        other = "none" if cell.kind == "inverted" else "projection"
        raise ValueError(
            f"`shortcut` must be {other!r}, not 'identity': it joins {builder.shapes[source][2]} channels to "
            f"{cell.filters}."
        )


def _with_shortcut(builder: Builder, name: str, cell: Cell, source: str, branch: str) -> str:
    if cell.stride > 1:
        strides = (cell.stride, cell.stride)
        source = builder.pool(f"{name}/shortcut_pool", "average", source, strides, strides)
    if cell.shortcut == "projection":
        source = builder.conv_norm(f"{name}/projection", source, cell.filters, 1)
    else:
        _check_identity(builder, cell, source)
    return builder.relu(f"{name}/relu", builder.add(f"{name}/sum", Add(), branch, source))


def _join(builder: Builder, name: str, cell: Cell, read: Sequence[str], size: tuple[int, int]) -> str:
    parts = []
    for number, source in zip(cell.inputs, read, strict=bool(cell.inputs)):
        part = builder.pooled_to(f"{name}/pool_{number}", source, size)
        if cell.join == "add" and source != read[-1]:
            filters = builder.shapes[read[-1]][2]
            part = builder.add(f"{name}/adapter_{number}", Conv(filters=filters), part)
        parts.append(part)
    if not parts:
        return read[-1]
    if cell.join == "add" and len(parts) > 1:
        return builder.add(f"{name}/add", Add(), *parts)
    return builder.joined(f"{name}/concat", Concat(), parts)
