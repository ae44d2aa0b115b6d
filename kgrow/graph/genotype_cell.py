"""The cell of a genotype, with the operations of the edges between its nodes."""

from __future__ import annotations

from collections.abc import Mapping

from kgrow.graph.builder import Builder
from kgrow.graph.edge import NUM_INPUTS, PROJECTION, Edge, Step, nodes_of, steps_of
from kgrow.graph.operators import Add, BatchNorm, Concat


def add_genotype_cell(  # noqa: PLR0913 - all that a genotype leaves open
    builder: Builder,
    name: str,
    edges: tuple[Edge, ...],
    filters: int,
    stride: int,
    size: tuple[int, int],
    inputs: Mapping[int, str],
    *,
    is_gated: bool = False,
) -> str:
    """Appends a cell and returns the name of its output.

    Args:
        builder: Builder of the network.
        name: Prefix of its node names.
        edges: Edges between the nodes of the cell, sorted.
        filters: Number of channels of each node of the cell.
        stride: Stride of the edges that read an input.
        size: (height, width) to which its inputs are resized.
        inputs: Map of each input node that is read.
        is_gated: Whether each edge ends in a normalization without scale and offset, `gated_name`: what it makes is
            then of one size for each operation, and a scale cannot offset a gate.
    """
    made: dict[int, str] = {}
    for target in nodes_of(edges):
        incoming = [edge for edge in edges if edge.target == target]
        for place, edge in enumerate(incoming):
            if edge.source not in made:  # an input is read when it is needed, as on a device
                strides = builder.steps_to(inputs[edge.source], size)
                label = input_name(name, edge.source)
                made[edge.source] = _add_steps(builder, label, inputs[edge.source], PROJECTION, filters, strides)
            own = stride if edge.source < NUM_INPUTS else 1
            steps = steps_of(edge.operation, own)
            summand = _add_steps(
                builder, edge_name(name, edge), made[edge.source], steps, filters, (own, own), is_gated
            )
            # Summands are added in pairs immediately: only two are in memory.
            is_first, label = place == 0, f"{name}/{sum_name(target, place, len(incoming))}"
            made[target] = summand if is_first else builder.add(label, Add(), made[target], summand)
    output = builder.joined(f"{name}/output", Concat(), [made[target] for target in nodes_of(edges)])
    return builder.relu(f"{name}/relu", output)


def _add_steps(
    builder: Builder,
    name: str,
    source: str,
    steps: tuple[Step, ...],
    filters: int,
    strides: tuple[int, int],
    is_gated: bool = False,
) -> str:
    for index, step in enumerate(steps):
        label = f"{name}/{index}"
        if step.starts:  # the map before it may have other readers
            source = builder.relu(f"{label}/before", source)
        own = strides if index == 0 else (1, 1)
        if step.kind == "conv":
            ends = step.ends and not (is_gated and index == len(steps) - 1)
            source = builder.conv(label, source, filters, step.side, own, dilation=step.dilation)
            source = builder.norm(label, source) if ends else source
        elif step.kind == "depthwise":
            source = builder.depthwise(label, source, step.side, own[0])
        else:
            source = builder.pool(label, step.kind, source, (step.side, step.side), own)
    return builder.add(f"{name}/norm", BatchNorm(has_scale=False, has_offset=False), source) if is_gated else source


def sum_name(node: int, place: int, num_edges: int) -> str:
    """Returns the name of the sum of a node's first edges, in its cell.

    Args:
        node: Number of the node.
        place: Number of the last edge that is added, from 1.
        num_edges: Number of the node's edges; the sum of all of them has the node's own name.
    """
    return f"node_{node}" if place == num_edges - 1 else f"node_{node}/{place - 1}"


def input_name(cell_name: str, node: int) -> str:
    """Returns the name of the layers through which a cell reads an input."""
    return f"{cell_name}/input_{node}"


def edge_name(cell_name: str, edge: Edge) -> str:
    """Returns the name of an edge's layers."""
    return f"{cell_name}/{edge.operation}_{edge.source}_{edge.target}"


def gated_name(cell_name: str, edge: Edge) -> str:
    """Returns the name of the node whose output is multiplied by an edge's gate."""
    return f"{edge_name(cell_name, edge)}/norm"
