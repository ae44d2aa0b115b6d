"""The Keras network of tree cells, with or without a gate on every edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kgrow._keras import keras, tf
from kgrow.cells.layers import PathGate, apply_steps, standardized
from kgrow.cells.network import classified, scaled
from kgrow.cells.tree import TREE_CELL_A, TreeEdge, TreeGenotype, TreeStack, names
from kgrow.graph.edge import Step

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
    features = apply_steps(scaled(images, stack.scaling), stem, 1, stack.filters, seed=seed, name="stem")
    for block, cell in enumerate(genotype.cells):
        if stack.halves(block):
            features = keras.layers.AveragePooling2D(2, padding="same", name=f"block_{block}/pool")(features)
        missing = stack.widths()[block] - features.shape[-1]
        shortcut = tf.pad(features, ((0, 0), (0, 0), (0, 0), (0, missing)))
        residual = _residual(features, block, cell, stack, seed, gates[block] if gated else None) if cell else None
        features = shortcut if residual is None else keras.layers.Add(name=f"block_{block}")([shortcut, residual])
    logits = classified(keras.layers.ReLU(name="relu")(features), stack.num_classes)
    return keras.Model([images, *gates] if gated else images, logits)


def _residual(features: Any, block: int, cell: tuple[str, ...], stack: TreeStack, seed: int, gates: Any) -> Any:
    name, width = f"block_{block}", stack.inner_width(block)
    features = standardized(features, f"{name}/first", affine=True)
    features = apply_steps(features, (Step("conv", ends=True),), 1, width, seed=seed, name=f"{name}/reduce")
    features = _below("root", TREE_CELL_A, False, features, _brancher(name, cell, width, seed, gates))
    # No normalization from here on: it would amplify a residual again whose gates are nearly closed.
    steps = (Step("conv", starts=True),)
    return apply_steps(features, steps, 1, stack.widths()[block], seed=seed, name=f"{name}/expand")


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
        made = apply_steps(features, OPERATIONS[edge.operation], 1, filters, seed=seed, name=label, gated=is_gated)
        if is_gated:
            made = PathGate([names().index(above) for above in _path(name)], name=f"{label}/gate")([gates, made])
        return _below(name, edge.children, edge.splits, made, branch) if edge.children else made

    return branch


def _path(name: str) -> list[str]:
    """Returns the names of an edge and of all above it."""
    return [above for above in names() if name == above or name.startswith(f"{above}_")]
