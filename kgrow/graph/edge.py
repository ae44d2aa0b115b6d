"""`Edge`: an operation between two nodes of a graph cell, and the layers of operations."""

from __future__ import annotations

import dataclasses

from kgrow._checks import lookup

NUM_INPUTS = 2


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer of an operation; SAME padding, no bias.

    Args:
        kind: Kind of layer: `"conv"` (to the requested channels), `"depthwise"`, `"max"` or `"average"`.
        side: Side of its square window.
        dilation: Distance of the taps of a `"conv"`.
        groups: Number of channel groups of a `"conv"`.
        starts: Whether it starts with ReLU.
        ends: Whether it ends with a normalization.
    """

    kind: str
    side: int = 1
    dilation: int = 1
    groups: int = 1
    starts: bool = False
    ends: bool = False


def _separable(side: int) -> tuple[Step, ...]:
    return (Step("depthwise", side, starts=True), Step("conv", ends=True)) * 2


OPERATIONS: dict[str, tuple[Step, ...]] = {
    "sep3": _separable(3),
    "sep5": _separable(5),
    "dil3": (Step("conv", 3, dilation=2, starts=True, ends=True),),
    "dil5": (Step("conv", 5, dilation=2, starts=True, ends=True),),
    "max3": (Step("max", 3),),
    "avg3": (Step("average", 3),),
    "identity": (),
}
# The layers on the inputs of a cell. The inputs are never negative, so no ReLU is needed before them.
PROJECTION = (Step("conv", ends=True),)
# An identity with a stride.
REDUCTION = (Step("conv", starts=True, ends=True),)


def steps_of(operation: str, stride: int) -> tuple[Step, ...]:
    """Returns the layers of an operation; the first one has the stride.

    Args:
        operation: Key of `OPERATIONS`.
        stride: Stride, 1 or 2; an identity of stride 2 is a 1x1 convolution.
    """
    return OPERATIONS[operation] or (REDUCTION if stride > 1 else ())


@dataclasses.dataclass(frozen=True, order=True)
class Edge:
    """One operation between two nodes of a cell.

    Args:
        target: Node to which it adds, from 2 on.
        source: Node that it reads: 0 is the output of the cell before, 1 that of the one before that, and others are
            nodes before `target`.
        operation: Key of `OPERATIONS`.
    """

    target: int
    source: int
    operation: str

    def __post_init__(self) -> None:
        lookup(OPERATIONS, self.operation, "operation")
        are_whole = all(isinstance(node, int) and not isinstance(node, bool) for node in (self.source, self.target))
        if not are_whole or not 0 <= self.source < self.target or self.target < NUM_INPUTS:
            raise ValueError(f"`source` must be a node before `target`, which is at least 2, but got {self}.")


def sorted_edges(edges: tuple[Edge, ...], name: str) -> tuple[Edge, ...]:
    """Returns the edges of a cell in sorted order.

    Raises:
        ValueError: If there is none, a duplicate, or one that reads a node without edges.
    """
    edges = tuple(sorted(edges))
    fed = {*range(NUM_INPUTS), *(edge.target for edge in edges)}
    if not edges or len(set(edges)) < len(edges) or any(edge.source not in fed for edge in edges):
        raise ValueError(f"`{name}` must hold distinct edges that read inputs or nodes with edges, but got {edges}.")
    return edges


def nodes_of(edges: tuple[Edge, ...]) -> tuple[int, ...]:
    """Returns the nodes that have edges, in order; a cell's output is the concatenation of them."""
    return tuple(sorted({edge.target for edge in edges}))


def inputs_of(edges: tuple[Edge, ...]) -> tuple[int, ...]:
    """Returns the input nodes that edges read, in order."""
    return tuple(sorted({edge.source for edge in edges if edge.source < NUM_INPUTS}))


def reading_newest(edges: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """Returns edges that read only input 1 as edges that read input 0, in the same order."""
    return tuple(dataclasses.replace(edge, source=0) if edge.source == 1 else edge for edge in edges)
