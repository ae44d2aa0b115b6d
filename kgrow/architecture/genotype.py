"""`Genotype`: a pair of cells as data, a normal and a reduction cell, in the space of DARTS."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kgrow._checks import check_positive_int
from kgrow.architecture.link import NUM_INPUTS, OPERATIONS, Link, nodes_of, sorted_links

KINDS = {"N": "normal", "R": "reduction"}


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
            object.__setattr__(self, kind, sorted_links(self.links(kind), kind))

    def links(self, kind: str) -> tuple[Link, ...]:
        """Returns the links of `"normal"` or `"reduction"` cells."""
        return tuple(self.normal if kind == "normal" else self.reduction)

    def nodes(self, kind: str) -> tuple[int, ...]:
        """Returns the nodes of a cell that have links, in order; its output is as many times as wide."""
        return nodes_of(self.links(kind))

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
