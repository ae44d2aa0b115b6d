"""The edges of a cell as gates."""

from __future__ import annotations

from collections.abc import Iterable

from kgrow.bayes import GateGraph
from kgrow.graph.edge import NUM_INPUTS, Edge

OUTPUT = "output"


def gate_graph(edges: Iterable[Edge]) -> GateGraph:
    """Returns the graph of the gates on edges, in their order, followed by one gate from every node to the output.

    The latter stand for the concatenation of the nodes, which has no gate: they are always open.
    """
    edges = tuple(edges)
    ends = dict.fromkeys(edge.target for edge in edges)
    return GateGraph(
        (*((edge.source, edge.target) for edge in edges), *((node, OUTPUT) for node in ends)),
        sources=tuple(range(NUM_INPUTS)),
        sink=OUTPUT,
    )
