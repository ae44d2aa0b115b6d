"""Random genotypes of a given size, as a baseline for searches."""

from __future__ import annotations

import numpy as np

from kgrow.cells.edges import gate_graph
from kgrow.cells.stack import Stack
from kgrow.graph.edge import Edge
from kgrow.graph.genotype import KINDS, Genotype

MOST_DRAWS = 1000


def random_genotype(stack: Stack, num_nodes: int, params: int, seed: int, tolerance: float = 0.05) -> Genotype:
    """Draws a genotype with approximately the given number of parameters.

    Edges of both cells are shuffled and opened one by one; edges that are not on a path to the output do not count.

    Args:
        stack: Stack in which parameters are counted.
        num_nodes: Number of nodes of a cell, without its inputs.
        params: Target number of parameters.
        seed: Random seed of the draw.
        tolerance: Largest relative distance from `params`.

    Raises:
        ValueError: If no draw is that close.
    """
    generator = np.random.default_rng(seed)
    complete = Genotype.complete(num_nodes)
    candidates = [(kind, edge) for kind in KINDS.values() for edge in complete.edges(kind)]
    for _ in range(MOST_DRAWS):
        opened: dict[str, list[Edge]] = {kind: [] for kind in KINDS.values()}
        for index in generator.permutation(len(candidates)):
            kind, edge = candidates[index]
            opened[kind].append(edge)
            edges = [_fed(opened[kind]) for kind in KINDS.values()]
            size = stack.architecture(Genotype(*edges)).params() if all(edges) else 0
            if size and abs(size - params) <= tolerance * params:
                return Genotype(*edges)
            if size > params:
                break
    smallest, largest = _bounds(stack, complete)
    raise ValueError(
        f"`params` must be near what some genotype of this stack has ({smallest} to {largest}), but got {params}. "
        f"None of {MOST_DRAWS} draws was within {tolerance:.0%}."
    )


def _fed(edges: list[Edge]) -> tuple[Edge, ...]:
    """Returns the edges that can be reached from an input along edges."""
    if not any(edge.source < 2 for edge in edges):  # no path at all: a `GateGraph` cannot be built
        return ()
    kept = gate_graph(edges).connected(np.ones(len(gate_graph(edges)), bool))
    return tuple(edge for edge, is_kept in zip(edges, kept, strict=False) if is_kept)


def _bounds(stack: Stack, complete: Genotype) -> tuple[int, int]:
    smallest = tuple(edge for edge in complete.normal if edge.operation == "max3")[:1]
    return stack.architecture(Genotype(smallest, smallest)).params(), stack.architecture(complete).params()
