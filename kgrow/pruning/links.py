"""Links between cells: the connections that read through each one, and the choice of the kept ones. NumPy only."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np

from kgrow.bayes import GateGraph, decide, dependent_gamma, settled_gates
from kgrow.bayes.prior import LARGEST_GAMMA
from kgrow.graph import IMAGE, Architecture, Node

STEM = 0


class Link(NamedTuple):
    """A map that a cell reads.

    Args:
        source: Name of the cell whose map is read.
        reader: Name of the cell that reads it.
        rows: Input rows that only this link feeds, by kernel name, bool (inputs,). Empty if masks cannot remove the
            link because an operator without a kernel reads it.
        behind: Kernels of the reader that then read only constants.
    """

    source: str
    reader: str
    rows: Mapping[str, np.ndarray]
    behind: tuple[str, ...] = ()


def cell_of(name: str) -> str:
    """Returns the cell of a grown network's node: the first two parts of its name."""
    return "/".join(name.split("/")[:2])


class Links:
    """All links of a network, in the order of the reading cells and then of the cells read.

    Args:
        architecture: Architecture of the network as grown so far, made of cells.
    """

    def __init__(self, architecture: Architecture):
        self._architecture = architecture
        self._cells: dict[str, list[Node]] = {}
        for block in architecture.blocks:
            for node in block.nodes:
                self._cells.setdefault(cell_of(node.name), []).append(node)
        self._kernels = {kernel.name for kernel in architecture.kernels()}
        numbers = {name: number for number, name in enumerate(self._cells)}
        ends = {numbers[cell_of(block.head[0].inputs[0])] for block in architecture.blocks}
        self._ends = sorted(ends - {STEM})
        self._links = tuple(link for name in self._cells for link in self._of_cell(name))
        self._edges = tuple((numbers[link.source], numbers[link.reader]) for link in self._links)
        self.fixed = np.array([not link.rows for link in self._links], bool)

    def __len__(self) -> int:
        return len(self._links)

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links)

    def _of_cell(self, cell: str) -> Iterator[Link]:
        nodes = self._cells[cell]
        own = {node.name for node in nodes}
        sources = {name for node in nodes for name in node.inputs if name not in own} - {IMAGE}
        for source in sorted(sources, key=list(self._architecture.by_name).index):
            lost = self._reached(nodes, own, sources - {source})
            behind = tuple(n.name for n in nodes if n.name in self._kernels and n.name not in lost)
            rows = self._rows(nodes, source)
            yield Link(cell_of(source), cell, rows, tuple(name for name in behind if name not in rows))

    @staticmethod
    def _reached(nodes: Sequence[Node], own: Set[str], sources: Set[str]) -> set[str]:
        """Returns the nodes of a cell that can be reached from some of the maps that it reads."""
        found = set(sources)
        for node in nodes:
            if found.intersection(node.inputs):
                found.add(node.name)
        return found & own

    def _rows(self, nodes: Sequence[Node], source: str) -> dict[str, np.ndarray]:
        """Returns `Link.rows`: the kernel rows that read a map's channels unchanged; none if a sum reads it."""
        shapes = self._architecture.shapes
        marks = {source: np.ones(shapes[source][-1], bool)}
        rows = {}
        for node in nodes:
            inputs = [marks.get(name, np.zeros(shapes[name][-1], bool)) for name in node.inputs]
            if node.name in self._kernels:
                if inputs[0].any():
                    rows[node.name] = inputs[0]
                continue
            aligned = node.operator.aligned(inputs, self._architecture.input_shapes(node))
            if len(aligned) > 1 and any(each.any() for each in aligned):
                return {}
            marks[node.name] = aligned[0]
        return rows

    @functools.cached_property
    def graphs(self) -> tuple[GateGraph, ...]:
        """The links as gates on the path to each head that reads more than the stem."""
        return tuple(GateGraph(self._edges, sources=(STEM,), sink=end) for end in self._ends)

    def present(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns which links are fixed, or have a nonzero connection, bool (num_links,).

        Args:
            arrays: Masks, or masked weights, by kernel name.
        """
        return self.fixed | np.array([self._is_read(link, arrays) for link in self._links], bool)

    def _is_read(self, link: Link, arrays: Mapping[str, np.ndarray]) -> bool:
        """Returns whether something nonzero leads from a link to the map of the cell that reads it."""
        nodes, found = self._cells[link.reader], set[str]()
        for node in nodes:
            if node.name not in self._kernels:
                leads = bool(found.intersection(node.inputs))
            elif node.name in link.rows:
                leads = bool(arrays[node.name][..., link.rows[node.name], :].any())
            else:
                leads = bool(found.intersection(node.inputs)) and bool(arrays[node.name].any())
            if leads:
                found.add(node.name)
        return nodes[-1].name in found

    def supported(
        self, curvature: np.ndarray, price: float, weights: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        r"""Returns the links that the data support, bool (num_links,).

        The gate of a link is 1, and its switch s settles at :math:`\max(0, 1 - 1 / h)`. The switch is 0 for a link that
        carries nothing, and fully open if masks cannot remove the link or the data give no evidence. A link depends on
        the links into its source, see `bayes.dependent_gamma`.

        Args:
            curvature: Curvature of the loss in the gates, in nats per example, (num_links,).
            price: Price lambda of a link, in nats per example.
            weights: Masked weights, by kernel name.
            masks: Masks, by kernel name.

        Returns:
            Each returned link is on a path of such links from the stem to a head, and every head that still has a path
            gets one: that of the largest switches if none has evidence.
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
        """Returns by kernel name which connections read only through kept links, bool of its shape.

        Args:
            kept: Kept links, bool (num_links,). A cell to which no kept link leads loses all its connections.
            shapes: Kernel shapes, by kernel name.
        """
        found = {name: np.ones(shape, bool) for name, shape in shapes.items()}
        for link, stays in zip(self._links, kept, strict=True):
            for kernel, rows in link.rows.items():
                found[kernel][..., rows, :] &= stays
            for kernel in link.behind:
                found[kernel] &= stays
        fed = {link.reader for link, stays in zip(self._links, kept, strict=True) if stays}
        lost = tuple(f"{name}/" for number, name in enumerate(self._cells) if number != STEM and name not in fed)
        for name, connections in found.items():
            connections &= not name.startswith(lost)
        return found
