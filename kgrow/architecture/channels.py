"""Which channels a kernel reads and makes: what pruning and compaction of whole channels have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kgrow.architecture.architecture import Architecture, Cell
from kgrow.architecture.graph_cell import input_name
from kgrow.architecture.operation import Operation


class Channels(NamedTuple):
    """An array per cell over the channels of its output, between its convolutions, and of its joined inputs.

    All nodes of a graph cell have the same channels: an identity, a pool or a depthwise convolution hands each to its
    like. They are what stands between its convolutions, and what it makes of its inputs.
    """

    maps: list[np.ndarray]
    hidden: list[np.ndarray]
    joined: list[np.ndarray]


def cell_names(architecture: Architecture) -> list[str]:
    """Returns what the names of each cell's kernels start with, such as `block_0/cell_1`."""
    owners = [index for index, block in enumerate(architecture.blocks) for _ in block.cells]
    return [f"block_{index}/cell_{number}" for number, index in enumerate(owners)]


def last_cell(architecture: Architecture, block_index: int) -> int:
    """Returns the number of the cell that a block's head reads."""
    return architecture.first_cell(block_index + 1) - 1


def adapters(cell: Cell, name: str) -> Iterator[tuple[str, int]]:
    """Yields the names of the kernels through which a cell reads a map by itself, each with the map's number.

    They are those of all but the newest input of a sum, and of all inputs of a graph cell.

    Args:
        cell: The reader.
        name: What the names of its kernels start with.
    """
    if cell.join == "add":
        yield from ((f"{name}/adapter_{source}", source) for source in cell.inputs[:-1])
    for node, source in sorted(cell.graph_inputs().items(), reverse=True):  # in the order of the inputs
        yield f"{input_name(name, node)}/0", source


def direct_inputs(cell: Cell) -> tuple[int, ...]:
    """Returns the maps whose channels, side by side, are the channels that a cell reads."""
    if cell.kind == "graph":
        return ()
    return cell.inputs if cell.join == "concat" else cell.inputs[-1:]


def split_joined(cells: Sequence[Cell], cell: Cell, joined: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the direct inputs of a cell, each with its part of an array over the channels that the cell reads."""
    start = 0
    for source in direct_inputs(cell):
        stop = start + cells[source].filters
        yield source, joined[start:stop]
        start = stop


def join_maps(cell: Cell, maps: Sequence[np.ndarray]) -> np.ndarray:
    """Returns what belongs to the channels that a cell joins, from what belongs to those of every map."""
    return np.concatenate([maps[source] for source in direct_inputs(cell)])


def all_joined(
    cells: Sequence[Cell], maps: Sequence[np.ndarray], hidden: Sequence[np.ndarray], image: np.ndarray
) -> list[np.ndarray]:
    """Returns per cell what belongs to the channels that it reads.

    Args:
        cells: Of the network.
        maps: What belongs to the channels of their outputs.
        hidden: To those between their convolutions; a graph cell reads its inputs into them.
        image: To those of the image, which the stem reads.
    """
    inside = {number: hidden[number] for number, cell in enumerate(cells) if cell.kind == "graph"} | {0: image}
    return [inside[n] if n in inside else join_maps(cell, maps) for n, cell in enumerate(cells)]


def stacked_nodes(cell: Cell, hidden: np.ndarray) -> np.ndarray:
    """Returns what belongs to the output of a graph cell, from what belongs to the channels of its nodes."""
    return np.tile(hidden, cell.filters // cell.hidden_filters)


def kernel_channels(
    architecture: Architecture, channels: Channels, outside: bool | int, itself: bool | int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields the name of every kernel with what belongs to its input rows and to its output columns.

    Args:
        architecture: The network.
        channels: A value per channel.
        outside: The value of the classes, which are no channels.
        itself: That of the one column of a depthwise kernel, which makes of every channel the channel itself.
    """
    rows_of_heads = {op.name: op.kernel_shape[0] for op in architecture.kernels() if op.is_head}
    for number, (name, cell) in enumerate(zip(cell_names(architecture), architecture.cells, strict=True)):
        maps, hidden, joined = channels.maps[number], channels.hidden[number], channels.joined[number]
        for adapter, source in adapters(cell, name):
            yield adapter, channels.maps[source], joined
        if cell.kind == "graph":
            for op in graph_kernels(architecture, number):
                yield op.name, hidden, np.array([itself]) if op.kind == "depthwise" else hidden
            continue
        yield f"{name}/first", joined, hidden if cell.kind == "residual" else maps
        if cell.kind == "residual":
            yield f"{name}/second", hidden, maps
        if cell.shortcut == "projection":
            yield f"{name}/projection", joined, maps
    for index in range(len(architecture.blocks)):
        name, maps = f"block_{index}/head/dense", channels.maps[last_cell(architecture, index)]
        yield name, np.tile(maps, rows_of_heads[name] // len(maps)), np.full(architecture.num_classes, outside)


def graph_kernels(architecture: Architecture, number: int) -> list[Operation]:
    """Returns the kernels between the nodes of a graph cell, those that read its inputs left out."""
    own = {adapter for adapter, _ in adapters(architecture.cells[number], cell_names(architecture)[number])}
    return [op for op in architecture.cell_operations(number) if op.kernel_shape and op.name not in own]
