"""`TreeCell`: a branching cell as data, and its stack."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from kgrow._checks import check_positive_int
from kgrow.bayes import GateGraph
from kgrow.graph import Scaling

LEAF = "leaf"


@dataclasses.dataclass(frozen=True)
class TreeEdge:
    """An edge from a node to the one below it.

    Args:
        operation: `"group3"` (3x3 convolution in two groups), `"conv1"`, `"dw3"`, `"dw5"`, `"dw7"` (depthwise, then
            1x1), `"avg3"` or `"max3"`.
        children: Edges from the node below; a leaf has none.
        splits: Whether each child reads its share of the channels and the results are concatenated; otherwise each
            reads all channels and the results are added.
    """

    operation: str
    children: tuple[TreeEdge, ...] = ()
    splits: bool = False


def _leaves(*operations: str) -> tuple[TreeEdge, ...]:
    return tuple(TreeEdge(operation) for operation in operations)


# TreeCell-A of Cai, Yang, Zhang, Han and Yu, "Path-Level Network Transformation for Efficient Architecture Search",
# ICML 2018, https://arxiv.org/abs/1806.02639.
TREE_CELL_A = (
    TreeEdge(
        "group3",
        (TreeEdge("conv1", _leaves("avg3", "dw7"), splits=True), TreeEdge("max3", _leaves("dw3", "dw5"))),
    ),
    TreeEdge("group3", (TreeEdge("dw5", _leaves("dw5", "avg3", "avg3")), TreeEdge("dw3", _leaves("avg3", "dw3")))),
)


def walk(edges: tuple[TreeEdge, ...], parent: str = "root") -> Iterator[tuple[str, str, TreeEdge]]:
    """Yields name, parent's name and edge, parents first; the names number the path from the root."""
    for index, edge in enumerate(edges):
        name = f"{parent}_{index}"
        yield name, parent, edge
        yield from walk(edge.children, name)


def names(edges: tuple[TreeEdge, ...] = TREE_CELL_A) -> tuple[str, ...]:
    """Returns the names of all edges, in the order of their gates."""
    return tuple(name for name, _, _ in walk(edges))


def tree_graph(edges: tuple[TreeEdge, ...] = TREE_CELL_A) -> GateGraph:
    """Returns a graph with a gate on every edge, whose only predecessor is the edge above; leaves lead to the sink."""
    ends = [(parent, name if edge.children else LEAF) for name, parent, edge in walk(edges)]
    return GateGraph(tuple(ends), sources=("root",), sink=LEAF)


@dataclasses.dataclass(frozen=True)
class TreeStack:
    """A pyramid of bottlenecks with a tree cell in place of each 3x3 convolution.

    A block is BN, 1x1, BN, tree, ReLU, 1x1, added to its input, whose missing channels are zeros. Channels grow by the
    same number in every block; the first block of all stages but one reads its input average-pooled. The
    source has three stages of 18 blocks and widens by 84.

    Args:
        input_shape: Shape of the raw image, (height, width, channels).
        num_classes: Number of logits.
        scaling: Scaling of raw pixels inside the network.
        blocks: Number of blocks per stage.
        filters: Number of filters of the stem.
        widening: Number of channels that all blocks add together.
        bottleneck: Ratio of the channels of a block to those inside it.

    References:
        Han, Kim and Kim, "Deep Pyramidal Residual Networks", CVPR 2017, https://arxiv.org/abs/1610.02915.
    """

    input_shape: tuple[int, int, int]
    num_classes: int
    scaling: Scaling
    blocks: tuple[int, ...] = (2, 2, 2)
    filters: int = 16
    widening: int = 24
    bottleneck: int = 2

    def __post_init__(self) -> None:
        for name in ("num_classes", "filters", "widening", "bottleneck"):
            check_positive_int(getattr(self, name), name)
        if not self.blocks or min(self.blocks) < 1:
            raise ValueError(f"`blocks` must hold at least one per stage, but got {self.blocks}.")

    def widths(self) -> list[int]:
        """Returns the channels of every block."""
        total = sum(self.blocks)
        return [self.filters + round(self.widening * (index + 1) / total) for index in range(total)]

    def inner_width(self, block: int) -> int:
        """Returns the number of channels inside a block; it is even, for groups and shares."""
        return max(2, self.widths()[block] // self.bottleneck // 2 * 2)

    def halves(self, block: int) -> bool:
        """Returns whether a block is the first of a stage that is not the first."""
        return block in {sum(self.blocks[:stage]) for stage in range(1, len(self.blocks))}


@dataclasses.dataclass(frozen=True)
class TreeGenotype:
    """The edges of the trees that a search keeps.

    Args:
        cells: Names of the kept edges per block, in any order; a block without any is its shortcut.

    Raises:
        ValueError: If an edge is kept without its parent, or leads to no leaf.
    """

    cells: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(tuple(sorted(cell)) for cell in self.cells))
        for number, cell in enumerate(self.cells):
            for name, parent, edge in walk(TREE_CELL_A):
                is_fed = parent in ("root", *cell)
                leads = not edge.children or any(f"{name}_{index}" in cell for index in range(len(edge.children)))
                if name in cell and not (is_fed and leads):
                    raise ValueError(
                        f"`cells` must hold whole paths from the root to leaves, but {name} of cell {number} lies on "
                        f"none: {cell}."
                    )
            if set(cell) - set(names()):
                raise ValueError(f"`cells` must hold names of edges such as {names()[0]!r}, but got {cell}.")

    @staticmethod
    def complete(num_blocks: int) -> TreeGenotype:
        """Returns whole trees."""
        return TreeGenotype((names(),) * num_blocks)

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON types; `from_json` restores an equal value."""
        return {"cells": [list(cell) for cell in self.cells]}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> TreeGenotype:
        """Rebuilds a genotype from `to_json`, also after it was stored in a file."""
        return TreeGenotype(tuple(tuple(cell) for cell in value["cells"]))
