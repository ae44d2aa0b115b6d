"""Which channels matter: pure NumPy functions over an architecture and the state of a network.

Two passes over the cells find everything. Forwards, a channel that nothing feeds has a constant value, which moves
into the normalisation or the bias of whoever reads it. Backwards, a channel matters if a wanted head reads it through
connections that are not zero. What is neither constant nor read leaves gaps; one gather at the end closes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from kgrow.architecture import Architecture, Cell, Operation
from kgrow.architecture.channels import (
    Channels,
    adapters,
    all_joined,
    cell_names,
    join_maps,
    kernel_channels,
    last_cell,
    split_joined,
    stacked_nodes,
)
from kgrow.network.conv_norm import BATCH_NORM

State = dict[str, np.ndarray]


class Weighted(NamedTuple):
    """A network as values: `GrowingNetwork.architecture` and `GrowingNetwork.state()`, the arrays never written to."""

    architecture: Architecture
    state: State


def with_cells(architecture: Architecture, cells: Sequence[Cell]) -> Architecture:
    """Returns the architecture with every cell replaced."""
    remaining = iter(cells)
    blocks = (dataclasses.replace(b, cells=tuple(next(remaining) for _ in b.cells)) for b in architecture.blocks)
    return dataclasses.replace(architecture, blocks=tuple(blocks))


def restrict(state: State, name: str, rows: np.ndarray, columns: np.ndarray) -> None:
    """Replaces a kernel and its mask by ones that are zero outside the given input rows and output columns."""
    for kind in ("kernel", "mask"):
        state[f"{name}/{kind}"] = state[f"{name}/{kind}"] * np.outer(rows, columns)


def masked(weighted: Weighted) -> Weighted:
    """Zeroes the weights that cannot matter: those masked, and those that a normalisation multiplies by zero."""
    state = dict(weighted.state)
    for op in weighted.architecture.kernels():
        kernel = state[f"{op.name}/kernel"] = state[f"{op.name}/kernel"] * state[f"{op.name}/mask"]
        if op.norm_channels:
            restrict(state, op.name, np.ones(kernel.shape[-2], bool), state[f"{op.name}/gamma"] != 0)
    return Weighted(weighted.architecture, state)


def norm_of_zero(state: State, name: str) -> np.ndarray:
    """Returns what the normalisation after a kernel makes of zero, float64 (channels,)."""
    gamma, beta, mean, variance = (
        state[f"{name}/{kind}"].astype(np.float64) for kind in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return beta - gamma * mean / np.sqrt(variance + BATCH_NORM["epsilon"])


def fold_constants(weighted: Weighted) -> Weighted:
    """Cuts the connections from channels of a constant value, moving what they carried into biases and moving means.

    A constant other than zero stays connected to kernels larger than 1x1, because their zero padding makes its
    contribution smaller at the border, and to the adapters of a sum, which have no bias.
    """
    architecture, state = weighted.architecture, dict(weighted.state)
    constants: list[np.ndarray] = []  # per map and channel: its value, NaN where it depends on the image
    for number, (name, cell) in enumerate(zip(cell_names(architecture), architecture.cells, strict=True)):
        if cell.kind == "graph":
            constants.append(_graph_constants(architecture, state, number, constants))
            continue
        joined = _joined_constants(state, name, cell, constants, architecture.input_shape[2])
        constants.append(_fold_cell(state, name, cell, joined))
    for index in range(len(architecture.blocks)):
        name, values = f"block_{index}/head/dense", constants[last_cell(architecture, index)]
        _fold(state, name, np.tile(values, len(state[f"{name}/kernel"]) // len(values)))
    return Weighted(architecture, state)


def _joined_constants(
    state: State, name: str, cell: Cell, constants: Sequence[np.ndarray], image_channels: int
) -> np.ndarray:
    if not cell.inputs:
        return np.full(image_channels, np.nan)
    joined = join_maps(cell, constants)
    for adapter, source in adapters(cell, name):
        _fold(state, adapter, constants[source])
        joined[state[f"{adapter}/kernel"].any(axis=(0, 1, 2))] = np.nan
    return joined


def _fold_cell(state: State, name: str, cell: Cell, joined: np.ndarray) -> np.ndarray:
    _fold(state, f"{name}/first", joined)
    values = _constant_outputs(state, f"{name}/first")
    if cell.kind == "residual":
        _fold(state, f"{name}/second", np.maximum(values, 0.0))
        values = _constant_outputs(state, f"{name}/second")
        if cell.shortcut == "identity":
            values = values + joined
        elif cell.shortcut == "projection":
            _fold(state, f"{name}/projection", joined)
            values = values + _constant_outputs(state, f"{name}/projection")
    return np.maximum(values, 0.0)  # keeps NaN


def _graph_constants(
    architecture: Architecture, state: State, number: int, constants: Sequence[np.ndarray]
) -> np.ndarray:
    """Follows constants through the operations of a graph cell, of which every node is as wide."""
    name, cell = cell_names(architecture)[number], architecture.cells[number]
    read = {kernel: constants[source] for kernel, source in adapters(cell, name)}
    made: dict[str, np.ndarray] = {}
    for op in architecture.cell_operations(number):
        inputs = [read[op.name]] if op.name in read else [made[source] for source in op.inputs]
        made[op.name] = _constant_result(op, state, inputs)
    return made[f"{name}/relu"]


def _constant_result(op: Operation, state: State, inputs: Sequence[np.ndarray]) -> np.ndarray:
    if op.kind == "conv":
        _fold(state, op.name, inputs[0])
        return _constant_outputs(state, op.name)
    if op.kind == "depthwise":
        _fold(state, op.name, inputs[0])
        return np.where(state[f"{op.name}/kernel"].any(axis=(0, 1, 3)), np.nan, 0.0)
    if op.kind == "concat":
        return np.concatenate(inputs)
    total = np.sum(inputs, axis=0)  # a pool keeps a constant, as padding does not count
    return np.maximum(total, 0.0) if op.kind == "relu" else total


def _constant_outputs(state: State, name: str) -> np.ndarray:
    return np.where(state[f"{name}/kernel"].any(axis=(0, 1, 2)), np.nan, norm_of_zero(state, name))


def _fold(state: State, name: str, inputs: np.ndarray) -> None:
    kernel = state[f"{name}/kernel"]
    gone = inputs == 0
    # Pooling keeps a constant as it is (SAME average pooling leaves the padding out), so only the kernel's size counts.
    for kind, sign in (("bias", 1), ("moving_mean", -1)):
        if f"{name}/{kind}" in state and kernel.shape[:-2] in ((), (1, 1)):
            gone = ~np.isnan(inputs)
            carried = np.where(gone, inputs, 0.0) @ kernel.reshape(kernel.shape[-2:])
            state[f"{name}/{kind}"] = (state[f"{name}/{kind}"] + sign * carried).astype(np.float32)
    restrict(state, name, ~gone, np.ones(kernel.shape[-1], bool))


def drop_unread(weighted: Weighted, wanted: Collection[int]) -> Weighted:
    """Removes the channels that no wanted head depends on; what cannot be removed without them is zeroed.

    An identity shortcut ties the channels it joins, and a graph cell those of one place in all nodes: they go together
    or stay together. Every map and every hidden layer keeps one channel, because a convolution without channels does
    not exist.

    Args:
        weighted: Without the connections of constant channels.
        wanted: Indices of the heads whose logits are preserved.
    """
    architecture, state = weighted.architecture, dict(weighted.state)
    read = _read_channels(Weighted(architecture, state), wanted)
    for name, rows, columns in kernel_channels(architecture, read, True, True):
        restrict(state, name, rows, columns)
    kept = _kept_channels(architecture, read)
    for name, rows, columns in kernel_channels(architecture, kept, True, True):
        for kind in ("kernel", "mask"):
            state[f"{name}/{kind}"] = state[f"{name}/{kind}"][..., rows, :][..., columns]
        for kind in ("gamma", "beta", "moving_mean", "moving_variance"):
            if f"{name}/{kind}" in state:
                state[f"{name}/{kind}"] = state[f"{name}/{kind}"][columns]
    cells = [
        dataclasses.replace(cell, filters=int(np.sum(filters)), hidden_filters=int(np.sum(hidden)))
        for cell, filters, hidden in zip(architecture.cells, kept.maps, kept.hidden, strict=True)
    ]
    return Weighted(with_cells(architecture, cells), state)


def _read_channels(weighted: Weighted, wanted: Collection[int]) -> Channels:
    architecture, state = weighted
    cells = architecture.cells
    maps = [np.zeros(cell.filters, bool) for cell in cells]
    hidden, joined = list(maps), list(maps)  # all replaced below
    for index in wanted:
        last = last_cell(architecture, index)
        kernel = state[f"block_{index}/head/dense/kernel"]
        maps[last] = np.any(kernel.reshape(-1, cells[last].filters, architecture.num_classes) != 0, axis=(0, 2))
    # A map's readers have higher numbers, so in this order `maps[number]` is complete when its cell is reached.
    for number, name in reversed(list(enumerate(cell_names(architecture)))):
        cell = cells[number]
        if cell.kind == "graph":
            hidden[number] = joined[number] = _read_nodes(architecture, state, number, maps[number])
            maps[number] = stacked_nodes(cell, hidden[number])
        else:
            hidden[number], joined[number] = _read_by_cell(state, name, cell, maps[number])
        for source, part in split_joined(cells, cell, joined[number]):
            maps[source] = maps[source] | part
        for adapter, source in adapters(cell, name):
            maps[source] = maps[source] | _read_rows(state, adapter, joined[number])
    return Channels(maps, hidden, joined)


def _read_by_cell(state: State, name: str, cell: Cell, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if cell.kind == "conv":
        return np.zeros(0, bool), _read_rows(state, f"{name}/first", outputs)
    hidden = _read_rows(state, f"{name}/second", outputs)
    joined = _read_rows(state, f"{name}/first", hidden)
    if cell.shortcut == "identity":
        joined = joined | outputs
    elif cell.shortcut == "projection":
        joined = joined | _read_rows(state, f"{name}/projection", outputs)
    return hidden, joined


def _read_nodes(architecture: Architecture, state: State, number: int, outputs: np.ndarray) -> np.ndarray:
    """Zeroes what no output of a graph cell depends on; returns which channels of its nodes matter in any place."""
    width = architecture.cells[number].hidden_filters
    operations = architecture.cell_operations(number)
    reads = {op.name: np.zeros(op.output_shape[2], bool) for op in operations}
    reads[operations[-1].name] = outputs
    for op in reversed(operations):
        read = reads[op.name]
        if op.kernel_shape:
            columns = read if op.kind == "conv" else np.ones(1, bool)
            restrict(state, op.name, np.ones(op.kernel_shape[2], bool) if op.kind == "conv" else read, columns)
            read = np.any(state[f"{op.name}/kernel"] != 0, axis=(0, 1, 3))
        parts = np.split(read, len(op.inputs)) if op.kind == "concat" else [read] * len(op.inputs)
        for source, part in zip(op.inputs, parts, strict=True):
            if source in reads:
                reads[source] = reads[source] | part
    return np.any([read.reshape(-1, width).any(axis=0) for read in reads.values()], axis=0)


def _read_rows(state: State, name: str, columns: np.ndarray) -> np.ndarray:
    return np.any(state[f"{name}/kernel"][..., columns] != 0, axis=(0, 1, 3))


def _kept_channels(architecture: Architecture, read: Channels) -> Channels:
    cells = architecture.cells
    maps, hidden = list(read.maps), [_at_least_one(channels) for channels in read.hidden]
    before: list[np.ndarray] = []
    while not before or any(np.any(new != old) for new, old in zip(maps, before, strict=True)):
        before = list(maps)
        for number, cell in enumerate(cells):
            if cell.shortcut == "identity":
                maps[number] = maps[number] | join_maps(cell, maps)
                for source, part in split_joined(cells, cell, maps[number]):
                    maps[source] = maps[source] | part
            elif cell.kind == "graph":
                hidden[number] = hidden[number] | np.any(maps[number].reshape(-1, cell.hidden_filters), axis=0)
                maps[number] = stacked_nodes(cell, hidden[number])
        maps = [_at_least_one(channels) for channels in maps]
    image = np.ones(architecture.input_shape[2], bool)
    return Channels(maps, hidden, all_joined(cells, maps, hidden, image))


def _at_least_one(channels: np.ndarray) -> np.ndarray:
    return channels if channels.any() else np.arange(len(channels)) == 0
