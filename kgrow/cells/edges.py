"""The edges of a cell as gates."""

from __future__ import annotations

from collections.abc import Iterable

from kgrow.bayes import GateGraph
from kgrow.graph.edge import NUM_INPUTS, Edge

OUTPUT = "output"


def gate_graph(edges: Iterable[Edge]) -> GateGraph:
    """Returns the gates on edges, in their order, and behind them one more from every node to the output.

    The latter stand for the stacking of nodes, which nothing gates: they are always open.
    """
    edges = tuple(edges)
    ends = dict.fromkeys(edge.target for edge in edges)
    return GateGraph(
        (*((edge.source, edge.target) for edge in edges), *((node, OUTPUT) for node in ends)),
        sources=tuple(range(NUM_INPUTS)),
        sink=OUTPUT,
    )
