"""`Genotype`: a pair of cells as data, a normal and a reduction cell, in the space of DARTS."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from kgrow._checks import check_positive_int, lookup
from kgrow.bayes import GateGraph
from kgrow.cells.operations import OPERATIONS

KINDS = {"N": "normal", "R": "reduction"}
NUM_INPUTS = 2
OUTPUT = "output"


@dataclasses.dataclass(frozen=True, order=True)
class Link:
    """One operation between two nodes of a cell.

    Args:
        target: Node that it adds to, from 2 on.
        source: Node that it reads: 0 is the output of the cell before, 1 that of the one before that, and others are
            nodes before `target`.
        operation: A key of `OPERATIONS`.
    """

    target: int
    source: int
    operation: str

    def __post_init__(self) -> None:
        lookup(OPERATIONS, self.operation, "operation")
        if not 0 <= self.source < self.target or self.target < NUM_INPUTS:
            raise ValueError(f"`source` must be a node before `target`, which is at least 2, but got {self}.")


@dataclasses.dataclass(frozen=True)
class Genotype:
    """What a search finds: the links of both cells. A node is the sum of its links, a cell's output all nodes stacked.

    Args:
        normal: Links of the cell that keeps the resolution, in any order; several may join two nodes.
        reduction: Links of the cell that halves it: links from its inputs have stride 2.

    Raises:
        ValueError: If a cell has no link, the same link twice, or a link that reads a node without links.

    References:
        Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019,
        https://arxiv.org/abs/1806.09055.
    """

    normal: tuple[Link, ...]
    reduction: tuple[Link, ...]

    def __post_init__(self) -> None:
        for kind in KINDS.values():
            links = tuple(sorted(self.links(kind)))
            object.__setattr__(self, kind, links)
            fed = {0, 1, *(link.target for link in links)}
            if not links or len(set(links)) < len(links) or any(link.source not in fed for link in links):
                raise ValueError(
                    f"`{kind}` must hold distinct links that read inputs or nodes with links, but got {links}."
                )

    def links(self, kind: str) -> tuple[Link, ...]:
        """Returns the links of `"normal"` or `"reduction"` cells."""
        return tuple(self.normal if kind == "normal" else self.reduction)

    def nodes(self, kind: str) -> tuple[int, ...]:
        """Returns the nodes of a cell that have links, in order; its output is as many times as wide."""
        return tuple(sorted({link.target for link in self.links(kind)}))

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types; `from_json` gives back an equal value."""
        return {
            kind: [[link.source, link.target, link.operation] for link in self.links(kind)] for kind in KINDS.values()
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Genotype:
        """Rebuilds a genotype from `to_json`, also after a trip through a file."""
        return Genotype(
            *(tuple(Link(target, source, name) for source, target, name in value[k]) for k in KINDS.values())
        )

    @staticmethod
    def complete(num_nodes: int) -> Genotype:
        """Returns the genotype with every link there can be: what a search starts from.

        Args:
            num_nodes: Of a cell, without its inputs; 4 in the source.
        """
        last = NUM_INPUTS + check_positive_int(num_nodes, "num_nodes")
        links = tuple(
            Link(target, source, name)
            for target in range(NUM_INPUTS, last)
            for source in range(target)
            for name in OPERATIONS
        )
        return Genotype(links, links)


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
