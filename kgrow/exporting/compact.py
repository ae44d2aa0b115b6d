"""Makes pruning physical: a smaller network that computes the same logits.

Zeros make a file neither smaller nor faster; removed channels, inputs and cells do. Everything here maps an
architecture and its weights to a smaller pair, and is exact up to rounding in inference. Trained further, the two
networks would differ: constants are absorbed by moving means, and batch statistics know nothing of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow.architecture import Architecture, Cell
from kgrow.architecture.channels import cell_names, last_cell, split_joined
from kgrow.architecture.edge import NUM_INPUTS, Edge, inputs_of, reading_newest, steps_of
from kgrow.architecture.graph_cell import edge_name, input_name
from kgrow.exporting._channels import (
    State,
    Weighted,
    drop_unread,
    fold_constants,
    masked,
    norm_of_zero,
    with_cells,
)
from kgrow.network import GrowingNetwork


def compact(network: GrowingNetwork, exit_indices: Sequence[int] | None = None) -> GrowingNetwork:
    """Returns a physically smaller network with the same logits in inference, float32 rounding aside.

    Removed are channels that nothing reads, that are zero, or whose constant value fits into a bias or a moving mean;
    inputs of a join that nothing is read of; edges of a graph cell that give a constant which another edge to the node
    can hold, and inputs that no edge reads; projections and cells that do nothing. Every map and hidden layer keeps a
    channel, every node an edge, every block a cell and its head, and the stem stays. Running it again removes nothing
    more.

    Args:
        network: Left as it is.
        exit_indices: The heads whose logits are wanted: blocks after the last of them are cut, and the other heads stay
            but may give other logits, as what only they read is removed. All heads are preserved by default.

    Returns:
        A new network; a head has the same index as before.

    Raises:
        ValueError: If there is no head of such an index.
    """
    blocks = network.architecture.blocks
    wanted = range(len(blocks)) if exit_indices is None else exit_indices
    for index in wanted:
        if not 0 <= index < len(blocks):
            raise ValueError(f"`exit_indices` must be in [0, {len(blocks) - 1}], but got {index!r}.")
    architecture = dataclasses.replace(network.architecture, blocks=blocks[: max(wanted, default=-1) + 1])
    smaller = shrink(Weighted(architecture, network.state()), wanted)
    twin = GrowingNetwork(smaller.architecture, seed=network.seed)
    twin.load_state(smaller.state)
    return twin


def shrink(weighted: Weighted, wanted: Sequence[int]) -> Weighted:
    """Removes until nothing more can be removed; see `compact`.

    Args:
        weighted: Architecture and state, of which the given arrays are not changed.
        wanted: Indices of the heads whose logits are preserved.
    """
    larger, smaller = None, masked(weighted)
    while larger is None or _extent(smaller) != _extent(larger):
        larger = smaller
        smaller = _remove_cell(_simplify_cells(drop_unread(fold_constants(larger), wanted)))
    return smaller


def _extent(weighted: Weighted) -> tuple[Architecture, int]:
    # Every step that changes a weighted makes the architecture smaller or a weight zero, so the loop ends.
    architecture, state = weighted
    return architecture, sum(int(np.count_nonzero(state[f"{op.name}/kernel"])) for op in architecture.kernels())


def _simplify_cells(weighted: Weighted) -> Weighted:
    architecture, state = weighted.architecture, dict(weighted.state)
    cells = []
    for name, cell in zip(cell_names(architecture), architecture.cells, strict=True):
        if cell.kind == "graph":
            cells.append(_without_dead_edges(state, name, architecture, cell))
            continue
        cell = _without_dead_projection(state, name, cell)
        cell = _without_unread_inputs(state, name, architecture, cell)
        cells.append(_with_smallest_kernels(state, name, cell))
    return Weighted(with_cells(architecture, cells), state)


def _without_dead_projection(state: State, name: str, cell: Cell) -> Cell:
    if cell.shortcut != "projection" or state[f"{name}/projection/kernel"].any():
        return cell
    beta = state[f"{name}/second/beta"] + norm_of_zero(state, f"{name}/projection")
    state[f"{name}/second/beta"] = beta.astype(np.float32)
    return dataclasses.replace(cell, shortcut="none")


def _without_unread_inputs(state: State, name: str, architecture: Architecture, cell: Cell) -> Cell:
    if cell.join == "add":
        kept = [source for source in cell.inputs[:-1] if state[f"{name}/adapter_{source}/kernel"].any()]
        kept.append(cell.inputs[-1])
    elif cell.join == "concat" and cell.shortcut != "identity":
        kept = _read_inputs(state, name, architecture, cell)
    else:
        return cell
    return dataclasses.replace(cell, inputs=tuple(kept), join=cell.join if len(kept) > 1 else "none")


def _read_inputs(state: State, name: str, architecture: Architecture, cell: Cell) -> list[int]:
    readers = [f"{name}/first", f"{name}/projection"] if cell.shortcut == "projection" else [f"{name}/first"]
    read = np.any([state[f"{reader}/kernel"].any(axis=(0, 1, 3)) for reader in readers], axis=0)
    keep = [bool(part.any()) for _, part in split_joined(architecture.cells, cell, read)]
    kept = [source for source, is_read in zip(cell.inputs, keep, strict=True) if is_read]
    # The last input sets the resolution that the others are pooled to.
    newest = cell.inputs[-1]
    if not kept or architecture.feature_shape(kept[-1])[:2] != architecture.feature_shape(newest)[:2]:
        kept.append(newest)
        keep[-1] = True
    rows = np.repeat(keep, [architecture.cells[source].filters for source in cell.inputs])
    for reader in readers:
        for kind in ("kernel", "mask"):
            state[f"{reader}/{kind}"] = state[f"{reader}/{kind}"][:, :, rows]
    return kept


def _without_dead_edges(state: State, name: str, architecture: Architecture, cell: Cell) -> Cell:
    """Takes away edges whose convolutions give a constant, which the offset of another edge to the node can hold."""
    edges = list(cell.edges)
    for edge in cell.edges:
        last = _last_kernel(name, cell, edge)
        others = [other for other in edges if other.target == edge.target and other != edge]
        if last is None or not others or state[f"{last}/kernel"].any():
            continue
        constant = norm_of_zero(state, last)
        holders = [holder for holder in (_last_kernel(name, cell, other) for other in others) if holder]
        if holders:
            state[f"{holders[0]}/beta"] = (state[f"{holders[0]}/beta"] + constant).astype(np.float32)
        elif constant.any():
            continue
        edges.remove(edge)
    return _with_edges(state, name, architecture, cell, tuple(edges))


def _last_kernel(name: str, cell: Cell, edge: Edge) -> str | None:
    """Returns the name of the convolution that ends an edge, None if it has none."""
    steps = steps_of(edge.operation, cell.stride if edge.source < NUM_INPUTS else 1)
    return f"{edge_name(name, edge)}/{len(steps) - 1}" if steps and steps[-1].kind == "conv" else None


def _with_edges(state: State, name: str, architecture: Architecture, cell: Cell, edges: tuple[Edge, ...]) -> Cell:
    """Returns a graph cell with fewer edges, and with the inputs that they read."""
    if inputs_of(edges) != (1,):
        return dataclasses.replace(cell, edges=edges, inputs=cell.inputs[-1 - max(inputs_of(edges)) :])
    moved = reading_newest(edges)
    names = {edge_name(name, old): edge_name(name, new) for old, new in zip(edges, moved, strict=True)}
    names[input_name(name, 1)] = input_name(name, 0)
    for old, new in names.items():
        state.update({key.replace(old, new, 1): state[key] for key in list(state) if key.startswith(f"{old}/")})
    older, newest = (architecture.feature_shape(source)[:2] for source in cell.inputs)
    stride = max(-(-side // wanted) for side, wanted in zip(older, newest, strict=True))
    return dataclasses.replace(cell, edges=moved, inputs=cell.inputs[:1], input_stride=stride)


def _with_smallest_kernels(state: State, name: str, cell: Cell) -> Cell:
    # Zeros need no area: a cell whose branch is a constant may have to stay for its shortcut or its head.
    parts = [f"{name}/first", f"{name}/second"] if cell.kind == "residual" else [f"{name}/first"]
    if cell.kernel_size == 1 or any(state[f"{part}/kernel"].any() for part in parts):
        return cell
    for part in parts:
        for kind in ("kernel", "mask"):
            state[f"{part}/{kind}"] = state[f"{part}/{kind}"][:1, :1]
    return dataclasses.replace(cell, kernel_size=1)


def _remove_cell(weighted: Weighted) -> Weighted:
    architecture = weighted.architecture
    for index, block in enumerate(architecture.blocks):
        first, last = architecture.first_cell(index), last_cell(architecture, index)
        for number in range(max(first, 1), last + 1 if len(block.cells) > 1 else first):
            source = _replacement(weighted, number, is_last=number == last)
            if source is not None:
                return _without_cell(weighted, number, source)
    return weighted


def _replacement(weighted: Weighted, number: int, *, is_last: bool) -> int | None:
    """Returns the map that can stand for a cell's own, any map if nothing reads it, None if the cell is needed."""
    architecture, state = weighted
    cells, cell = architecture.cells, architecture.cells[number]
    readers = [reader.inputs for reader in cells if number in reader.inputs]
    source = cell.inputs[-1]
    if not readers and not is_last:
        return source
    if cell.shortcut != "identity" or cell.stride > 1 or len(cell.inputs) > 1 or (is_last and source != number - 1):
        return None
    # A reader of both maps would read one of them twice, which neither a sum nor the names of its adapters allow.
    if any(source in inputs for inputs in readers):
        return None
    second = f"{cell_names(architecture)[number]}/second"
    # The cell gives relu(map + constant); a map is never negative, so without a constant that is the map itself.
    adds_nothing = not state[f"{second}/kernel"].any() and not norm_of_zero(state, second).any()
    return source if adds_nothing else None


def _without_cell(weighted: Weighted, number: int, source: int) -> Weighted:
    architecture, state = weighted
    blocks = []
    for index, block in enumerate(architecture.blocks):
        numbered = enumerate(block.cells, start=architecture.first_cell(index))
        cells = (_renumbered(cell, number, source) for position, cell in numbered if position != number)
        blocks.append(dataclasses.replace(block, cells=tuple(cells)))
    smaller = dataclasses.replace(architecture, blocks=tuple(blocks))
    # Numbers change, the order does not: that of the remaining kernels gives their new names.
    gone = f"{cell_names(architecture)[number]}/"
    remaining = [op.name for op in architecture.kernels() if not op.name.startswith(gone)]
    names = dict(zip(remaining, (op.name for op in smaller.kernels()), strict=True))
    names.update({name: name for name in (f"block_{index}/head" for index in range(len(blocks)))})  # of the mixing
    entries = [(*key.rpartition("/"), value) for key, value in state.items()]
    return Weighted(smaller, {f"{names[name]}/{kind}": value for name, _, kind, value in entries if name in names})


def _renumbered(cell: Cell, removed: int, source: int) -> Cell:
    moved = (source if number == removed else number for number in cell.inputs)
    return dataclasses.replace(cell, inputs=tuple(number - (number > removed) for number in moved))
