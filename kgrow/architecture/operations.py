"""The operations that an architecture stands for: the one walk on which every count rests."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kgrow.architecture.architecture import Architecture, Cell

IMAGE = "image"


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation with an output of its own.

    Args:
        name: Unique; kernels have the name that the network gives them, such as `block_1/cell_4/first`.
        block_index: The block it belongs to.
        inputs: Names of the operations read; `"image"` is the network's input.
        output_shape: (height, width, channels); a head's output is (1, 1, num_classes).
        kernel_shape: (height, width, in, out) of a convolution, (in, out) of Dense, () where there is no kernel.
        norm_channels: Channels normalised right after it, 0 for none.
        other_params: Trainable values besides the kernel and the normalisation: Dense bias, a head's mixing weight.
        is_head: Whether only the block's own classifier needs it.
    """

    name: str
    block_index: int
    inputs: tuple[str, ...]
    output_shape: tuple[int, int, int]
    kernel_shape: tuple[int, ...] = ()
    norm_channels: int = 0
    other_params: int = 0
    is_head: bool = False

    @property
    def kernel_size(self) -> int:
        """Prunable connections."""
        return math.prod(self.kernel_shape) if self.kernel_shape else 0

    @property
    def positions(self) -> int:
        """How often each connection is used: output positions of a convolution, 1 for Dense."""
        return self.output_shape[0] * self.output_shape[1]


def _reduced(size: int, stride: int) -> int:
    return -(-size // stride)  # SAME padding


def feature_shape(architecture: Architecture, number: int) -> tuple[int, int, int]:
    """Returns (height, width, channels) of feature map `number`."""
    cell = architecture.cells[number]
    height, width = joined_size(architecture, number)
    return _reduced(height, cell.stride), _reduced(width, cell.stride), cell.filters


def joined_size(architecture: Architecture, number: int) -> tuple[int, int]:
    """Returns (height, width) of what cell `number` reads: the resolution of its newest input."""
    cell = architecture.cells[number]
    height, width, _ = feature_shape(architecture, cell.inputs[-1]) if cell.inputs else architecture.input_shape
    return height, width


def joined_channels(architecture: Architecture, number: int) -> int:
    """Returns the channels that cell `number` reads after its inputs are joined."""
    cell = architecture.cells[number]
    if not cell.inputs:
        return architecture.input_shape[2]
    filters = [architecture.cells[i].filters for i in cell.inputs]
    return sum(filters) if cell.join == "concat" else filters[-1]


def pool_sizes(architecture: Architecture, number: int) -> tuple[tuple[int, int], ...]:
    """Returns per input of cell `number` the (height, width) factors that bring it to the newest one's resolution."""
    height, width = joined_size(architecture, number)
    shapes = [feature_shape(architecture, i) for i in architecture.cells[number].inputs]
    return tuple((_reduced(shape[0], height), _reduced(shape[1], width)) for shape in shapes)


def head_grid(size: tuple[int, int], grid: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the pooling window of a head and the size of the pooled map, each (height, width).

    The window is `floor(side / grid)` and the map `floor(side / window)` (SDN's rule for `grid=4`); a side shorter
    than the grid is not pooled.
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
            yield Operation(f"{prefix}/pool_{source}", block_index, (name,), (height, width, filters))
            name = f"{prefix}/pool_{source}"
        if cell.join == "add" and source != cell.inputs[-1]:
            shape = (height, width, architecture.cells[cell.inputs[-1]].filters)
            kernel = (1, 1, filters, shape[2])
            yield Operation(f"{prefix}/adapter_{source}", block_index, (name,), shape, kernel)
            name = f"{prefix}/adapter_{source}"
        names.append(name)
    if len(names) > 1:
        shape = (height, width, joined_channels(architecture, number))
        yield Operation(f"{prefix}/{cell.join}", block_index, tuple(names), shape)


def _cell_operations(
    architecture: Architecture, block_index: int, number: int, outputs: Sequence[str]
) -> Iterator[Operation]:
    cell: Cell = architecture.cells[number]
    prefix = f"block_{block_index}/cell_{number}"
    source = outputs[cell.inputs[-1]] if cell.inputs else IMAGE
    for op in _join_operations(architecture, block_index, number, outputs):
        yield op
        source = op.name
    channels = joined_channels(architecture, number)
    shape = feature_shape(architecture, number)

    def convolution(name: str, source: str, size: int, channels: int, filters: int) -> Operation:
        kernel = (size, size, channels, filters)
        return Operation(f"{prefix}/{name}", block_index, (source,), (*shape[:2], filters), kernel, filters)

    if cell.kind == "conv":
        yield convolution("first", source, cell.kernel_size, channels, cell.filters)
        return
    yield convolution("first", source, cell.kernel_size, channels, cell.hidden_filters)
    yield convolution("second", f"{prefix}/first", cell.kernel_size, cell.hidden_filters, cell.filters)
    if cell.shortcut == "none":
        return
    if cell.stride > 1:
        yield Operation(f"{prefix}/shortcut_pool", block_index, (source,), (*shape[:2], channels))
        source = f"{prefix}/shortcut_pool"
    if cell.shortcut == "projection":
        yield convolution("projection", source, 1, channels, cell.filters)
        source = f"{prefix}/projection"
    yield Operation(f"{prefix}/sum", block_index, (f"{prefix}/second", source), shape)


def _head_operations(architecture: Architecture, block_index: int, source: str, number: int) -> Iterator[Operation]:
    height, width, channels = feature_shape(architecture, number)
    _, pooled = head_grid((height, width), architecture.blocks[block_index].head.grid)
    prefix = f"block_{block_index}/head"
    name, mixing = source, 0
    if pooled != (height, width):
        name, mixing = f"{prefix}/pool", 1
        yield Operation(name, block_index, (source,), (*pooled, channels), is_head=True)
    classes = architecture.num_classes
    yield Operation(
        f"{prefix}/dense",
        block_index,
        (name,),
        (1, 1, classes),
        (pooled[0] * pooled[1] * channels, classes),
        other_params=classes + mixing,
        is_head=True,
    )


def peak_live_values(operations: Sequence[Operation], image_values: int) -> int:
    """Returns the largest sum of tensors alive at once; heads' outputs live to the end."""
    last_use = {name: step for step, op in enumerate(operations) for name in op.inputs}
    live = {IMAGE: image_values}
    peak = 0
    for step, op in enumerate(operations):
        live[op.name] = math.prod(op.output_shape)
        peak = max(peak, sum(live.values()))
        live = {name: size for name, size in live.items() if last_use.get(name, len(operations)) > step}
    return peak
