"""Which channels a kernel reads and makes: what pruning and compaction of whole channels have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kgrow.architecture.architecture import Architecture, Cell


class Channels(NamedTuple):
    """An array per cell over the channels of its output, between its convolutions, and of its joined inputs."""

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


def adapted_inputs(cell: Cell) -> tuple[int, ...]:
    """Returns the maps that a cell reads through adapters: all but the newest input of a sum."""
    return cell.inputs[:-1] if cell.join == "add" else ()


def direct_inputs(cell: Cell) -> tuple[int, ...]:
    """Returns the maps whose channels, side by side, are the channels that a cell reads."""
    return cell.inputs if cell.join == "concat" else cell.inputs[-1:]


def split_joined(cells: Sequence[Cell], cell: Cell, joined: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the direct inputs of a cell, each with its part of an array over the channels that the cell reads."""
    start = 0
    for source in direct_inputs(cell):
        stop = start + cells[source].filters
        yield source, joined[start:stop]
        start = stop


def join_maps(cell: Cell, maps: Sequence[np.ndarray]) -> np.ndarray:
    """Returns what belongs to the channels that a cell reads, from what belongs to those of every map."""
    return np.concatenate([maps[source] for source in direct_inputs(cell)])


def kernel_channels(
    architecture: Architecture, channels: Channels, outside: bool | int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields the name of every kernel with what belongs to its input rows and to its output columns.

    Args:
        architecture: The network.
        channels: A value per channel.
        outside: The value of the classes, which are no channels.
    """
    rows_of_heads = {op.name: op.kernel_shape[0] for op in architecture.kernels() if op.is_head}
    for number, (name, cell) in enumerate(zip(cell_names(architecture), architecture.cells, strict=True)):
        maps, hidden, joined = channels.maps[number], channels.hidden[number], channels.joined[number]
        for source in adapted_inputs(cell):
            yield f"{name}/adapter_{source}", channels.maps[source], joined
        yield f"{name}/first", joined, hidden if cell.kind == "residual" else maps
        if cell.kind == "residual":
            yield f"{name}/second", hidden, maps
        if cell.shortcut == "projection":
            yield f"{name}/projection", joined, maps
    for index in range(len(architecture.blocks)):
        name, maps = f"block_{index}/head/dense", channels.maps[last_cell(architecture, index)]
        yield name, np.tile(maps, rows_of_heads[name] // len(maps)), np.full(architecture.num_classes, outside)
