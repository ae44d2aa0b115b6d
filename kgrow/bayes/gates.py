"""`GateGraph`: order and connectivity of gates, and the gates left when some are closed. NumPy only."""

from __future__ import annotations

import dataclasses
import functools
import graphlib
from collections.abc import Hashable, Iterable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class GateGraph:
    """Gates on the operations of a cell: one per operation from one node to another.

    Args:
        edges: Pair of nodes of each gate: the node its operation reads and the node it adds to. Several gates may join
            two nodes.
        sources: Nodes that always exist, such as the inputs of a cell.
        sink: Node that must be reached, such as the output of a cell.

    Raises:
        ValueError: If the edges run in a circle, or no path leads from a source to the sink.

    Example:
        >>> graph = GateGraph(edges=(("in", "a"), ("in", "a"), ("a", "out")), sources=("in",), sink="out")
        >>> graph.predecessors[2]
        array([0, 1])
    """

    edges: tuple[tuple[Hashable, Hashable], ...]
    sources: tuple[Hashable, ...]
    sink: Hashable

    def __post_init__(self) -> None:
        if not self.connected(np.ones(len(self.order), bool)).any():  # there is no order of edges in a circle
            raise ValueError(f"`edges` must lead from a source to {self.sink!r}, but none of the paths does.")

    def __len__(self) -> int:
        return len(self.edges)

    @functools.cached_property
    def order(self) -> tuple[int, ...]:
        """The gates in topological order: each one after all gates that its operation reads from."""
        sorter: graphlib.TopologicalSorter[Hashable] = graphlib.TopologicalSorter()
        for source, target in self.edges:
            sorter.add(target, source)
        try:
            places = {node: place for place, node in enumerate(sorter.static_order())}
        except graphlib.CycleError as problem:
            raise ValueError(f"`edges` must not run in a circle, but do: {problem.args[1]}.") from None
        return tuple(sorted(range(len(self)), key=lambda gate: places[self.edges[gate][0]]))

    @functools.cached_property
    def predecessors(self) -> tuple[np.ndarray, ...]:
        """Per gate, the gates into the node that it reads, int; none if that node is a source."""
        return tuple(
            np.array([i for i, (_, end) in enumerate(self.edges) if end == start and start not in self.sources], int)
            for start, _ in self.edges
        )

    @functools.cached_property
    def pairs(self) -> np.ndarray:
        """Per gate, the number of its pair of nodes, int (num_gates,); gates of one pair share a zero gate."""
        numbers = {edge: number for number, edge in enumerate(dict.fromkeys(self.edges))}
        return np.array([numbers[edge] for edge in self.edges])

    def connected(self, kept: np.ndarray) -> np.ndarray:
        """Returns which kept gates lie on a path of kept gates from a source to the sink, bool (num_gates,).

        One round is enough: every gate on such a path shares it with all other gates of the path.
        """
        fed = self._reached(self.sources, kept, self.edges)
        wanted = self._reached((self.sink,), kept, [(target, source) for source, target in self.edges])
        ends = [source in fed and target in wanted for source, target in self.edges]
        return kept & np.array(ends, bool)

    def _reached(
        self, starts: Iterable[Hashable], kept: np.ndarray, edges: Sequence[tuple[Hashable, Hashable]]
    ) -> set[Hashable]:
        follows: dict[Hashable, list[Hashable]] = {}
        for stays, (source, target) in zip(kept, edges, strict=True):
            if stays:
                follows.setdefault(source, []).append(target)
        reached, waiting = set(starts), list(starts)
        while waiting:
            new = [node for node in follows.get(waiting.pop(), []) if node not in reached]
            reached.update(new)
            waiting.extend(new)
        return reached

    def widest_path(self, strength: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """Returns the path from a source to the sink whose weakest gate is the strongest, bool (num_gates,).

        Args:
            strength: Strength of each gate, float (num_gates,).
            alive: Gates to choose from, bool (num_gates,); they must contain a path to the sink.
        """
        width: dict[Hashable, float] = dict.fromkeys(self.sources, np.inf)
        via: dict[Hashable, int] = {}
        for gate in self.order:
            source, target = self.edges[gate]
            narrowest = min(width.get(source, -np.inf), strength[gate])
            if alive[gate] and target not in self.sources and narrowest > width.get(target, -np.inf):
                width[target], via[target] = narrowest, gate
        path = np.zeros(len(self), bool)
        node = self.sink
        while node in via:
            path[via[node]] = True
            node = self.edges[via[node]][0]
        return path
