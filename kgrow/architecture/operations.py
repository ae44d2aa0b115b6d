"""The operations that an architecture stands for: the one walk on which every count rests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kgrow.architecture.graph_cell import GraphPlace
from kgrow.architecture.operation import IMAGE, Operation, reduced

if TYPE_CHECKING:
    from kgrow.architecture.architecture import Architecture, Cell


def feature_shape(architecture: Architecture, number: int) -> tuple[int, int, int]:
    """Returns (height, width, channels) of feature map `number`."""
    cell = architecture.cells[number]
    height, width = joined_size(architecture, number)
    return reduced(height, cell.stride), reduced(width, cell.stride), cell.filters


def joined_size(architecture: Architecture, number: int) -> tuple[int, int]:
    """Returns (height, width) to which cell `number` brings what it reads: the resolution of its newest input."""
    cell = architecture.cells[number]
    height, width, _ = feature_shape(architecture, cell.inputs[-1]) if cell.inputs else architecture.input_shape
    return reduced(height, cell.input_stride), reduced(width, cell.input_stride)


def joined_channels(architecture: Architecture, number: int) -> int:
    """Returns the channels that cell `number` reads after its inputs are joined, each node's if it is a graph cell."""
    cell = architecture.cells[number]
    if not cell.inputs:
        return architecture.input_shape[2]
    if cell.kind == "graph":
        return cell.hidden_filters
    filters = [architecture.cells[i].filters for i in cell.inputs]
    return sum(filters) if cell.join == "concat" else filters[-1]


def pool_sizes(architecture: Architecture, number: int) -> tuple[tuple[int, int], ...]:
    """Returns per input of cell `number` the (height, width) factors that bring it to the newest one's resolution."""
    height, width = joined_size(architecture, number)
    shapes = [feature_shape(architecture, i) for i in architecture.cells[number].inputs]
    return tuple((reduced(shape[0], height), reduced(shape[1], width)) for shape in shapes)


def are_joinable(architecture: Architecture, number: int) -> bool:
    """Whether the factors of `pool_sizes` bring every input of cell `number` to the newest one's resolution."""
    size = joined_size(architecture, number)
    return all(
        tuple(map(reduced, feature_shape(architecture, source)[:2], pool)) == size
        for source, pool in zip(architecture.cells[number].inputs, pool_sizes(architecture, number), strict=True)
    )


def head_grid(size: tuple[int, int], grid: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the pooling window of a head and the size of the pooled map, each (height, width).

    The window is `floor(side / grid)` and the map `floor(side / window)` (SDN's rule for `grid=4`); a side shorter
    than twice the grid is not pooled.
    """
    window = tuple(max(1, side // grid) for side in size)
    return (window[0], window[1]), (size[0] // window[0], size[1] // window[1])


def trace(architecture: Architecture) -> Iterator[Operation]:
    """Yields the operations of all blocks in the order the network runs them."""
    outputs: list[str] = []
    for block_index, block in enumerate(architecture.blocks):
        for _ in block.cells:
            cell_operations = list(_cell_operations(architecture, block_index, len(outputs), outputs))
            yield from cell_operations
            outputs.append(cell_operations[-1].name)
        yield from _head_operations(architecture, block_index, outputs[-1], len(outputs) - 1)


def _cell_operations(
    architecture: Architecture, block_index: int, number: int, outputs: Sequence[str]
) -> Iterator[Operation]:
    cell: Cell = architecture.cells[number]
    if cell.kind == "graph":
        shapes = {node: feature_shape(architecture, source) for node, source in cell.graph_inputs().items()}
        inputs = {node: (outputs[source], shapes[node]) for node, source in cell.graph_inputs().items()}
        name, size = f"block_{block_index}/cell_{number}", joined_size(architecture, number)
        yield from GraphPlace(name, block_index, cell.edges, cell.hidden_filters, cell.stride, size, inputs).walk()
        return
    source = outputs[cell.inputs[-1]] if cell.inputs else IMAGE
    for op in _join_operations(architecture, block_index, number, outputs):
        yield op
        source = op.name
    yield from _convolutions(architecture, block_index, number, source)


def _join_operations(
    architecture: Architecture, block_index: int, number: int, outputs: Sequence[str]
) -> Iterator[Operation]:
    cell: Cell = architecture.cells[number]
    height, width = joined_size(architecture, number)
    prefix = f"block_{block_index}/cell_{number}"
    names = []
    for source, pool in zip(cell.inputs, pool_sizes(architecture, number), strict=True):
        name, filters = outputs[source], architecture.cells[source].filters
        if pool != (1, 1):
            pooled = (height, width, filters)
            yield Operation(
                f"{prefix}/pool_{source}", "average", block_index, (name,), pooled, window=pool, strides=pool
            )
            name = f"{prefix}/pool_{source}"
        if cell.join == "add" and source != cell.inputs[-1]:
            shape = (height, width, architecture.cells[cell.inputs[-1]].filters)
            kernel = (1, 1, filters, shape[2])
            yield Operation(f"{prefix}/adapter_{source}", "conv", block_index, (name,), shape, kernel_shape=kernel)
            name = f"{prefix}/adapter_{source}"
        names.append(name)
    if len(names) > 1:
        shape = (height, width, joined_channels(architecture, number))
        yield Operation(f"{prefix}/{cell.join}", cell.join, block_index, tuple(names), shape)


def _convolutions(architecture: Architecture, block_index: int, number: int, source: str) -> Iterator[Operation]:
    cell: Cell = architecture.cells[number]
    prefix = f"block_{block_index}/cell_{number}"
    channels = joined_channels(architecture, number)
    shape = feature_shape(architecture, number)
    strides = (cell.stride, cell.stride)

    def convolution(
        name: str, source: str, side: int, channels: int, filters: int, relu: bool, strides: tuple[int, int] = (1, 1)
    ) -> Operation:
        return Operation(
            f"{prefix}/{name}",
            "conv",
            block_index,
            (source,),
            (*shape[:2], filters),
            kernel_shape=(side, side, channels, filters),
            norm_channels=filters,
            strides=strides,
            relu=relu,
        )

    between = cell.hidden_filters if cell.kind == "residual" else cell.filters
    yield convolution("first", source, cell.kernel_size, channels, between, True, strides)
    if cell.kind == "conv":
        return
    yield convolution("second", f"{prefix}/first", cell.kernel_size, between, cell.filters, cell.shortcut == "none")
    if cell.shortcut == "none":
        return
    if cell.stride > 1:
        pooled = (*shape[:2], channels)
        yield Operation(
            f"{prefix}/shortcut_pool", "average", block_index, (source,), pooled, window=strides, strides=strides
        )
        source = f"{prefix}/shortcut_pool"
    if cell.shortcut == "projection":
        yield convolution("projection", source, 1, channels, cell.filters, False)
        source = f"{prefix}/projection"
    yield Operation(f"{prefix}/sum", "add", block_index, (f"{prefix}/second", source), shape, relu=True)


def _head_operations(architecture: Architecture, block_index: int, source: str, number: int) -> Iterator[Operation]:
    height, width, channels = feature_shape(architecture, number)
    window, pooled = head_grid((height, width), architecture.blocks[block_index].head.grid)
    prefix = f"block_{block_index}/head"
    name, mixing = source, 0
    if pooled != (height, width):
        name, mixing = f"{prefix}/pool", 1
        yield Operation(
            name, "mixed", block_index, (source,), (*pooled, channels), window=window, strides=window, is_head=True
        )
    classes = architecture.num_classes
    yield Operation(
        f"{prefix}/dense",
        "dense",
        block_index,
        (name,),
        (1, 1, classes),
        kernel_shape=(pooled[0] * pooled[1] * channels, classes),
        other_params=classes + mixing,
        is_head=True,
    )
