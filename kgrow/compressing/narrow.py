"""Takes channels out of a graph: narrower layers with the weights that are left."""

from __future__ import annotations

import dataclasses

import numpy as np

from kgrow.compressing.graph import Graph, Values
from kgrow.compressing.layers import VECTORS, Node

WIDTHS = {"Dense": "units", "Conv2D": "filters", "SeparableConv2D": "filters"}


def narrow(
    graph: Graph, values: Values, made: dict[str, np.ndarray], kept: np.ndarray
) -> tuple[Graph, dict[str, np.ndarray]]:
    """Returns the graph and the weights without the channels of the groups that are not kept.

    If all that makes or reads these channels is zero, the narrower model computes the same, rounding aside.

    Args:
        graph: A classifier, with or without a softmax at its end.
        values: Its weights.
        made: See `GraphGroups.made`.
        kept: bool (num_groups,), at least one of every layer.
    """
    stays = np.append(kept, True)  # the last place is for what is no channel
    nodes, sliced = [], dict(values)
    for node in graph.nodes:
        columns = stays[made[node.name if node.name in made else node.inputs[0]]]  # a softmax reads the classes
        nodes.append(_narrower(node, int(columns.sum())))
        if node.inputs:
            rows = stays[made[node.inputs[0]]]
            for kind, sides in node.kernel_sides(rows, columns, True).items():
                sliced[f"{node.name}/{kind}"] = values[f"{node.name}/{kind}"][..., sides[0], :][..., sides[1]]
        for name in (f"{node.name}/{kind}" for kind in VECTORS):
            if name in values:
                sliced[name] = values[name][columns]
    return Graph(tuple(nodes)), sliced


def _narrower(node: Node, width: int) -> Node:
    config = {**node.config, WIDTHS[node.kind]: width} if node.kind in WIDTHS else node.config
    return dataclasses.replace(node, config=config, shape=(*node.shape[:-1], width))
