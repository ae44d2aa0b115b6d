"""The links of a cell as gates."""

from __future__ import annotations

from collections.abc import Iterable

from kgrow.architecture.link import NUM_INPUTS, Link
from kgrow.bayes import GateGraph

OUTPUT = "output"


def gate_graph(links: Iterable[Link]) -> GateGraph:
    """Returns the gates on links, in their order, and behind them one more from every node to the output.

    The latter stand for the stacking of nodes, which nothing gates: they are always open.
    """
    links = tuple(links)
    ends = dict.fromkeys(link.target for link in links)
    return GateGraph(
        (*((link.source, link.target) for link in links), *((node, OUTPUT) for node in ends)),
        sources=tuple(range(NUM_INPUTS)),
        sink=OUTPUT,
    )
