"""Links between cells: what reads through one, and which of them stay. NumPy only."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from kgrow.architecture import Architecture, Cell
from kgrow.architecture.channels import adapters, cell_names, last_cell, split_joined
from kgrow.architecture.edge import nodes_of
from kgrow.architecture.graph_cell import edge_name
from kgrow.bayes import GateGraph, decide, dependent_gamma, settled_gates
from kgrow.bayes.prior import LARGEST_GAMMA

STEM = 0


class Link(NamedTuple):
    """One entry of `Cell.inputs`.

    Args:
        source: Number of the cell whose map is read.
        reader: Number of the cell that reads it.
        rows: By the name of a kernel the input rows of it that nothing but this link feeds. There are none where masks
            cannot take the link away: an identity shortcut passes it on, and the newest input of a sum has no adapter.
        behind: Kernels of a graph cell that then read nothing but constants.
    """

    source: int
    reader: int
    rows: Mapping[str, slice]
    behind: tuple[str, ...] = ()


class Links:
    """All links of a network, in the order of the cells and of their inputs.

    Args:
        architecture: Of the network as far as it is grown.
    """

    def __init__(self, architecture: Architecture):
        self._architecture = architecture
        self._cells, self._names = architecture.cells, cell_names(architecture)
        self._ends = sorted({last_cell(architecture, index) for index in range(len(architecture.blocks))} - {STEM})
        self._links = tuple(self._find())
        self.fixed = np.array([not link.rows for link in self._links], bool)

    def __len__(self) -> int:
        return len(self._links)

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links)

    def _find(self) -> Iterator[Link]:
        for number, (name, cell) in enumerate(zip(self._names, self._cells, strict=True)):
            adapted = list(adapters(cell, name))
            for place, (kernel, source) in enumerate(adapted):
                behind = tuple(self._behind(number, len(adapted) - 1 - place)) if cell.kind == "graph" else ()
                yield Link(source, number, {kernel: slice(None)}, behind)
            if not cell.inputs:
                continue
            is_own = cell.shortcut != "identity" and not adapted
            channels = np.arange(sum(self._cells[source].filters for source in cell.inputs))
            for source, part in split_joined(self._cells, cell, channels):
                rows = slice(int(part[0]), int(part[-1]) + 1)
                yield Link(source, number, {kernel: rows for kernel in _readers(name, cell)} if is_own else {})

    def _behind(self, number: int, node: int) -> Iterator[str]:
        """Yields the kernels of a graph cell to which nothing leads but one of its inputs."""
        cell, lost = self._cells[number], {node}
        for target in nodes_of(cell.edges):
            if all(edge.source in lost for edge in cell.edges if edge.target == target):
                lost.add(target)
        starts = tuple(f"{edge_name(self._names[number], edge)}/" for edge in cell.edges if edge.source in lost)
        yield from (
            op.name
            for op in self._architecture.cell_operations(number)
            if op.kernel_shape and op.name.startswith(starts)
        )

    @functools.cached_property
    def graphs(self) -> tuple[GateGraph, ...]:
        """Per head that reads more than the stem the links as gates, on the way to the map that it reads."""
        edges = tuple((link.source, link.reader) for link in self._links)
        return tuple(GateGraph(edges, sources=(STEM,), sink=end) for end in self._ends)

    def present(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns which links are fixed, or have a connection that is not zero, bool (num_links,).

        Args:
            arrays: The mask, or the masked weights, per kernel name.
        """
        return self.fixed | np.array([self._is_read(link, arrays) for link in self._links], bool)

    def _is_read(self, link: Link, arrays: Mapping[str, np.ndarray]) -> bool:
        second = f"{self._names[link.reader]}/second"
        is_heard = second not in arrays or bool(arrays[second].any())
        # What `first` makes of it reaches the map through `second` only.
        return any(
            bool(arrays[kernel][..., rows, :].any()) and (is_heard or not kernel.endswith("/first"))
            for kernel, rows in link.rows.items()
        )

    def supported(
        self, curvature: np.ndarray, price: float, weights: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        r"""Returns the links for which the data have evidence, bool (num_links,).

        The gate of a link is 1, and its switch s comes to rest at :math:`\max(0, 1 - 1 / h)`. It is 0 for a link that
        carries nothing, and as open as can be where masks cannot take it away or the data say nothing. A link depends
        on the links into its source, see `bayes.dependent_gamma`.

        Args:
            curvature: Of the loss in the gates, in nats per example, (num_links,).
            price: Lambda of a link, in nats per example.
            weights: Per kernel name, masked.
            masks: Per kernel name.

        Returns:
            Each of them is on a path of such links from the stem to a head, and every head to which a path is left has
            one: that of the largest switches if none has evidence.
        """
        present = self.present(masks)
        switches = np.where(self.fixed, LARGEST_GAMMA, settled_gates(np.ones(len(self)), curvature, price))
        switches = np.where(self.present(weights), switches, 0.0)
        kept = np.zeros(len(self), bool)
        for graph in self.graphs:
            gamma = dependent_gamma(graph, switches, dependency="predecessors")
            kept |= decide(graph, gamma, switches, present).kept
        return kept

    def connections(self, kept: np.ndarray, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """Returns per kernel name which connections read through kept links only, bool of its shape.

        Args:
            kept: bool (num_links,); all connections of a cell to which no kept link leads go too.
            shapes: Per kernel name.
        """
        found = {name: np.ones(shape, bool) for name, shape in shapes.items()}
        for link, stays in zip(self._links, kept, strict=True):
            for kernel, rows in link.rows.items():
                found[kernel][..., rows, :] &= stays
            for kernel in link.behind:
                found[kernel] &= stays
        fed = {STEM} | {link.reader for link, stays in zip(self._links, kept, strict=True) if stays}
        lost = tuple(f"{name}/" for number, name in enumerate(self._names) if number not in fed)
        for name, connections in found.items():
            connections &= not name.startswith(lost)
        return found


def _readers(name: str, cell: Cell) -> list[str]:
    return [f"{name}/first", *([f"{name}/projection"] if cell.shortcut == "projection" else [])]
