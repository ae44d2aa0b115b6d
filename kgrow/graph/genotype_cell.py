"""The cell of a genotype, with the operations of the edges between its nodes."""

from __future__ import annotations

from collections.abc import Mapping

from kgrow.graph.builder import Builder
from kgrow.graph.edge import NUM_INPUTS, PROJECTION, Edge, Step, nodes_of, steps_of
from kgrow.graph.operators import Add, Concat


def add_genotype_cell(
    builder: Builder,
    name: str,
    edges: tuple[Edge, ...],
    filters: int,
    stride: int,
    size: tuple[int, int],
    inputs: Mapping[int, str],
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
            summand = _add_steps(builder, edge_name(name, edge), made[edge.source], steps, filters, (own, own))
            # Summands are added in pairs immediately: only two are in memory.
            is_first, label = place == 0, f"{name}/{sum_name(target, place, len(incoming))}"
            made[target] = summand if is_first else builder.add(label, Add(), made[target], summand)
    output = builder.joined(f"{name}/output", Concat(), [made[target] for target in nodes_of(edges)])
    return builder.relu(f"{name}/relu", output)


def _add_steps(
    builder: Builder, name: str, source: str, steps: tuple[Step, ...], filters: int, strides: tuple[int, int]
) -> str:
    for index, step in enumerate(steps):
        label = f"{name}/{index}"
        if step.starts:  # the map before it may have other readers
            source = builder.relu(f"{label}/before", source)
        own = strides if index == 0 else (1, 1)
        if step.kind == "conv":
            source = builder.conv_norm(label, source, filters, step.side, own, dilation=step.dilation)
        elif step.kind == "depthwise":
            source = builder.depthwise(label, source, step.side, own[0])
        else:
            source = builder.pool(label, step.kind, source, (step.side, step.side), own)
    return source


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
