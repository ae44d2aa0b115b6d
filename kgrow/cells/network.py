"""The Keras network of a genotype in a stack, with or without gates on its edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import keras
from kgrow.cells.layers import GatedSum, apply_steps
from kgrow.cells.stack import PlacedCell, Stack
from kgrow.graph import Scaling
from kgrow.graph.edge import NUM_INPUTS, PROJECTION, Edge, Step, inputs_of, steps_of
from kgrow.graph.genotype import KINDS, Genotype
from kgrow.graph.genotype_cell import edge_name, input_name, sum_name


def cell_network(stack: Stack, genotype: Genotype, seed: int) -> keras.Model:
    """Returns the plain network: raw pixels (batch, height, width, channels) to logits (batch, classes).

    Args:
        stack: Network around the cells.
        genotype: Edges of the cells.
        seed: Random seed of the kernels; each depends only on the seed and its name.
    """
    return _build(stack, genotype, seed, None)


def gated_network(stack: Stack, genotype: Genotype, seed: int, columns: Mapping[str, Sequence[Edge]]) -> keras.Model:
    """Returns the network with a gate on every edge of every cell, after a normalization.

    It maps raw pixels, the gates of normal cells and those of reduction cells, (batch or 1, cells, gates), to logits.

    Args:
        stack: Network around the cells.
        genotype: Edges of the cells.
        seed: Random seed as for `cell_network`.
        columns: Edges of each kind in the order of the gates; the genotype may have lost some of them.
    """
    return _build(stack, genotype, seed, columns)


def _build(stack: Stack, genotype: Genotype, seed: int, columns: Mapping[str, Sequence[Edge]] | None) -> keras.Model:
    images = keras.Input(stack.input_shape, name="images")
    gates = {}
    if columns is not None:
        gates = {kind: keras.Input((None, len(columns[kind])), name=kind) for kind in KINDS.values()}
    maps = {0: _stem(images, stack, seed)}
    for cell in stack.used_places(genotype):
        cell_gates = None if columns is None else (gates[cell.kind], columns[cell.kind])
        maps[cell.number] = _cell(cell, genotype, maps, seed, cell_gates)
    logits = classified(maps[len(stack.cells)], stack.num_classes)
    return keras.Model([images, *gates.values()] if gates else images, logits)


def _stem(images: Any, stack: Stack, seed: int) -> Any:
    features = scaled(images, stack.scaling)
    filters = 3 * stack.filters
    steps = (Step("conv", 3, ends=True),)
    features = apply_steps(features, steps, stack.stem_stride, filters, seed=seed, name="stem")
    return keras.layers.ReLU(name="stem/relu")(features)


def scaled(images: Any, scaling: Scaling) -> Any:
    """Returns `(pixel - mean) / std` per channel, computed without a variable."""
    scale = 1.0 / np.array(scaling.std)
    offset = -np.array(scaling.mean) * scale
    return keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="scale")(images)


def classified(features: Any, num_classes: int) -> Any:
    """Returns logits (batch, classes) of the mean over positions."""
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    # Zero initial weights make all classes equally likely, regardless of the seed.
    return keras.layers.Dense(num_classes, kernel_initializer="zeros", name="logits")(pooled)


def _cell(
    cell: PlacedCell,
    genotype: Genotype,
    maps: Mapping[int, Any],
    seed: int,
    gates: tuple[Any, Sequence[Edge]] | None,
) -> Any:
    edges, prefix = genotype.edges(cell.kind), f"cell_{cell.number}"
    nodes = {}
    for node in inputs_of(edges):
        features, stride = maps[cell.inputs[node]], cell.input_strides[node]
        name = input_name(prefix, node)
        nodes[node] = apply_steps(features, PROJECTION, stride, cell.filters, seed=seed, name=name)
    for target in genotype.nodes(cell.kind):
        incoming = [edge for edge in edges if edge.target == target]
        made = [_along(cell, edge, nodes[edge.source], seed, gates is not None) for edge in incoming]
        if gates is not None:
            (tensor, order), name = gates, f"{prefix}/node_{target}"
            nodes[target] = GatedSum(cell.repeat, [order.index(edge) for edge in incoming], name=name)([tensor, *made])
        else:
            nodes[target] = made[0]
            for place in range(1, len(made)):
                adding = keras.layers.Add(name=f"{prefix}/{sum_name(target, place, len(made))}")
                nodes[target] = adding([nodes[target], made[place]])
    outputs = [nodes[target] for target in genotype.nodes(cell.kind)]
    stacked = keras.layers.Concatenate(name=f"{prefix}/output")(outputs) if len(outputs) > 1 else outputs[0]
    return keras.layers.ReLU(name=f"{prefix}/relu")(stacked)


def _along(cell: PlacedCell, edge: Edge, features: Any, seed: int, gated: bool) -> Any:
    stride = cell.stride if edge.source < NUM_INPUTS else 1
    name, steps = edge_name(f"cell_{cell.number}", edge), steps_of(edge.operation, stride)
    return apply_steps(features, steps, stride, cell.filters, seed=seed, name=name, gated=gated)
