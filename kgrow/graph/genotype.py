"""`Genotype`: a normal and a reduction cell as data, in the space of DARTS."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kgrow._checks import check_positive_int
from kgrow.graph.edge import NUM_INPUTS, OPERATIONS, Edge, nodes_of, sorted_edges

KINDS = {"N": "normal", "R": "reduction"}


@dataclasses.dataclass(frozen=True)
class Genotype:
    """The edges of both cells. A node is the sum of its edges, and a cell's output the concatenation of all nodes.

    Args:
        normal: Edges of the cell that keeps the resolution, in any order; several may join two nodes.
        reduction: Edges of the cell that halves it; edges from its inputs have stride 2.

    Raises:
        ValueError: If a cell has no edge, the same edge twice, or an edge that reads a node without edges.

    References:
        Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019,
        https://arxiv.org/abs/1806.09055.
    """

    normal: tuple[Edge, ...]
    reduction: tuple[Edge, ...]

    def __post_init__(self) -> None:
        for kind in KINDS.values():
            object.__setattr__(self, kind, sorted_edges(self.edges(kind), kind))

    def edges(self, kind: str) -> tuple[Edge, ...]:
        """Returns the edges of `"normal"` or `"reduction"` cells."""
        return tuple(self.normal if kind == "normal" else self.reduction)

    def nodes(self, kind: str) -> tuple[int, ...]:
        """Returns the nodes of a cell that have edges, in order; its output is the concatenation of them."""
        return nodes_of(self.edges(kind))

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types; `from_json` restores an equal value."""
        return {
            kind: [[edge.source, edge.target, edge.operation] for edge in self.edges(kind)] for kind in KINDS.values()
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Genotype:
        """Rebuilds a genotype from `to_json`, also after it was stored in a file."""
        return Genotype(
            *(tuple(Edge(target, source, name) for source, target, name in value[k]) for k in KINDS.values())
        )

    @staticmethod
    def complete(num_nodes: int) -> Genotype:
        """Returns the genotype with all possible edges, from which a search starts.

        Args:
            num_nodes: Number of nodes of a cell, without its inputs; 4 in the source.
        """
        last = NUM_INPUTS + check_positive_int(num_nodes, "num_nodes")
        edges = tuple(
            Edge(target, source, name)
            for target in range(NUM_INPUTS, last)
            for source in range(target)
            for name in OPERATIONS
        )
        return Genotype(edges, edges)
