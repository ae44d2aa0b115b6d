"""The Keras network of tree cells, with or without a gate on every edge."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow.cells.tree import TREE_CELL_A, TreeEdge, TreeGenotype, TreeStack, names
from kgrow.graph import Scaling
from kgrow.graph.edge import Step
from kgrow.graph.operators._initial import he_normal
from kgrow.network.block_layer import seed_of

BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}  # as in grown networks

OPERATIONS: dict[str, tuple[Step, ...]] = {
    "group3": (Step("conv", 3, groups=2, starts=True, ends=True),),
    "conv1": (Step("conv", starts=True, ends=True),),
    "avg3": (Step("average", 3),),
    "max3": (Step("max", 3),),
} | {f"dw{side}": (Step("depthwise", side, starts=True), Step("conv", ends=True)) for side in (3, 5, 7)}


def tree_network(genotype: TreeGenotype, stack: TreeStack, seed: int, *, gated: bool = False) -> keras.Model:
    """Returns the network: raw pixels (batch, height, width, channels) to logits (batch, classes).

    Args:
        genotype: Genotype of its cells; an empty cell leaves only the shortcut of its block.
        stack: Stack around the cells.
        seed: Random seed of the kernels; each depends only on the seed and its name.
        gated: Whether every edge has a gate. Further inputs are then the gates of each block, (batch or 1, 1, edges). A
            leaf is multiplied by all gates on its path, after its normalization: above it, the next normalization would
            undo them.
    """
    if len(genotype.cells) != sum(stack.blocks):
        raise ValueError(f"`genotype` must hold {sum(stack.blocks)} cells, but got {len(genotype.cells)}.")
    images = keras.Input(stack.input_shape, name="images")
    gates = [keras.Input((1, len(names())), name=f"gates_{block}") for block in range(len(genotype.cells))] * gated
    stem = (Step("conv", 3, ends=True),)
    features = _apply_steps(_scaled(images, stack.scaling), stem, stack.filters, seed=seed, name="stem")
    for block, cell in enumerate(genotype.cells):
        if stack.halves(block):
            features = keras.layers.AveragePooling2D(2, padding="same", name=f"block_{block}/pool")(features)
        missing = stack.widths()[block] - features.shape[-1]
        shortcut = tf.pad(features, ((0, 0), (0, 0), (0, 0), (0, missing)))
        residual = _residual(features, block, cell, stack, seed, gates[block] if gated else None) if cell else None
        features = shortcut if residual is None else keras.layers.Add(name=f"block_{block}")([shortcut, residual])
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.ReLU(name="relu")(features))
    # Zero initial weights make all classes equally likely, regardless of the seed.
    logits = keras.layers.Dense(stack.num_classes, kernel_initializer="zeros", name="logits")(pooled)
    return keras.Model([images, *gates] if gated else images, logits)


def _residual(features: Any, block: int, cell: tuple[str, ...], stack: TreeStack, seed: int, gates: Any) -> Any:
    name, width = f"block_{block}", stack.inner_width(block)
    features = _normalized(features, f"{name}/first", affine=True)
    features = _apply_steps(features, (Step("conv", ends=True),), width, seed=seed, name=f"{name}/reduce")
    features = _below("root", TREE_CELL_A, False, features, _brancher(name, cell, width, seed, gates))
    # No normalization from here on: it would amplify a residual again whose gates are nearly closed.
    steps = (Step("conv", starts=True),)
    return _apply_steps(features, steps, stack.widths()[block], seed=seed, name=f"{name}/expand")


# Maps the name of an edge, the edge and its input to the result of the leaves below it, or to None.
Branch = Callable[[str, TreeEdge, Any], Any]


def _below(node: str, children: tuple[TreeEdge, ...], splits: bool, features: Any, branch: Branch) -> Any:
    """Returns the joint result of the edges from a node; the share of a removed child is zeros."""
    shares = tf.split(features, len(children), axis=-1) if splits else [features] * len(children)
    made = [branch(f"{node}_{index}", edge, shares[index]) for index, edge in enumerate(children)]
    if splits:
        filled = [
            tf.zeros_like(share) if result is None else result for share, result in zip(shares, made, strict=True)
        ]
        return tf.concat(filled, axis=-1)
    kept = [result for result in made if result is not None]
    return tf.add_n(kept) if len(kept) > 1 else kept[0]


def _brancher(prefix: str, cell: tuple[str, ...], width: int, seed: int, gates: Any) -> Branch:
    """Returns the function that follows an edge of a cell to its leaves; it returns None for a removed edge."""

    def branch(name: str, edge: TreeEdge, features: Any) -> Any:
        if name not in cell:
            return None
        filters, label = features.shape[-1], f"{prefix}/{name}"
        is_gated = gates is not None and not edge.children
        made = _apply_steps(features, OPERATIONS[edge.operation], filters, seed=seed, name=label, gated=is_gated)
        if is_gated:
            made = _PathGate([names().index(above) for above in _path(name)], name=f"{label}/gate")([gates, made])
        return _below(name, edge.children, edge.splits, made, branch) if edge.children else made

    return branch


def _path(name: str) -> list[str]:
    """Returns the names of an edge and of all above it."""
    return [above for above in names() if name == above or name.startswith(f"{above}_")]


class _PathGate(keras.layers.Layer):
    """The product of a map and all gates on its path.

    Args:
        columns: Columns of the gates.
        name: Name of the layer.
    """

    def __init__(self, columns: Sequence[int], *, name: str):
        super().__init__(name=name)
        self.columns = list(columns)

    def call(self, inputs: Sequence[Any]) -> Any:
        """Maps gates (batch or 1, 1, gates) and a map (batch, height, width, channels) to a map."""
        gates, features = inputs
        product = tf.reduce_prod(tf.gather(gates[:, 0], self.columns, axis=-1), axis=-1)
        return features * product[:, None, None, None]


def _scaled(images: Any, scaling: Scaling) -> Any:
    """Returns `(pixel - mean) / std` per channel, computed without a variable."""
    scale = 1.0 / np.array(scaling.std)
    offset = -np.array(scaling.mean) * scale
    return keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="scale")(images)


def _normalized(features: Any, name: str, *, affine: bool) -> Any:
    """Normalizes a map; before a gate without scale and offset, which could offset the gate."""
    return keras.layers.BatchNormalization(**BATCH_NORM, center=affine, scale=affine, name=f"{name}/norm")(features)


def _apply_steps(
    features: Any, steps: Sequence[Step], filters: int, *, seed: int, name: str, gated: bool = False
) -> Any:
    """Applies the layers of an operation.

    Args:
        features: Keras tensor (batch, height, width, channels).
        steps: Steps of the operation.
        filters: Number of channels of the result.
        seed: Random seed of the kernels; each depends on the seed and its name.
        name: Prefix of the layer names.
        gated: Whether a gate follows. The result of any operation is then normalized, without scale and offset.
    """
    for index, step in enumerate(steps):
        label = f"{name}/{index}"
        if step.starts:
            features = keras.layers.ReLU(name=f"{label}/relu")(features)
        features = _layer(features, step, filters, seed, label)
        if step.ends and not (gated and index == len(steps) - 1):
            features = _normalized(features, label, affine=True)
    return _normalized(features, name, affine=False) if gated else features


def _layer(features: Any, step: Step, filters: int, seed: int, name: str) -> Any:
    if step.kind in ("max", "average"):
        pool = keras.layers.MaxPooling2D if step.kind == "max" else keras.layers.AveragePooling2D
        return pool(step.side, 1, padding="same", name=name)(features)
    start = he_normal(seed_of(seed, name))
    if step.kind == "depthwise":
        return keras.layers.DepthwiseConv2D(
            step.side, padding="same", use_bias=False, depthwise_initializer=start, name=name
        )(features)
    if step.groups > 1:  # TensorFlow has no gradient of grouped convolutions on CPUs
        shares = tf.split(features, step.groups, axis=-1)
        single, width = dataclasses.replace(step, groups=1), filters // step.groups
        made = [_layer(share, single, width, seed, f"{name}/{index}") for index, share in enumerate(shares)]
        return keras.layers.Concatenate(name=name)(made)
    return keras.layers.Conv2D(filters, step.side, padding="same", use_bias=False, kernel_initializer=start, name=name)(
        features
    )
