"""Keras layers of operations, shared by the searched networks and the final ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from kgrow._keras import keras, tf
from kgrow.graph.edge import Step
from kgrow.graph.operators._grids import differentiable
from kgrow.graph.operators._initial import he_normal
from kgrow.network.block_layer import seed_of

BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}  # as in grown networks


class GatedSum(keras.layers.Layer):
    """The sum of maps, each multiplied by its gate.

    Args:
        row: Row of the gates that belong to this cell.
        columns: Columns of the maps' gates, in the order of the maps.
        name: Name of the layer.
    """

    def __init__(self, row: int, columns: Sequence[int], *, name: str):
        super().__init__(name=name)
        self.row, self.columns = row, list(columns)

    def call(self, inputs: Sequence[Any]) -> Any:
        """Maps gates (batch or 1, cells, gates) and maps (batch, height, width, channels) to one map."""
        gates, *maps = inputs
        own = [gates[:, self.row, column, None, None, None] for column in self.columns]
        return tf.add_n([gate * features for gate, features in zip(own, maps, strict=True)])


class PathGate(keras.layers.Layer):
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


def standardized(features: Any, name: str, *, affine: bool) -> Any:
    """Normalizes a map.

    Args:
        features: Keras tensor.
        name: Name of the layer.
        affine: Whether it has a scale and an offset. Before a gate it must not: a scale could offset the gate, whose
            size would then have no meaning.
    """
    return keras.layers.BatchNormalization(**BATCH_NORM, center=affine, scale=affine, name=f"{name}/norm")(features)


def apply_steps(
    features: Any, steps: Sequence[Step], stride: int, filters: int, *, seed: int, name: str, gated: bool = False
) -> Any:
    """Applies the layers of an operation.

    Args:
        features: Keras tensor (batch, height, width, channels).
        steps: Steps of the operation.
        stride: Stride of its first step.
        filters: Number of channels of the result.
        seed: Random seed of the kernels; each depends on the seed and its name.
        name: Prefix of the layer names.
        gated: Whether a gate follows. The result of any operation is then normalized, without scale and offset.
    """
    for index, step in enumerate(steps):
        label = f"{name}/{index}"
        if step.starts:
            features = keras.layers.ReLU(name=f"{label}/relu")(features)
        features = _layer(features, step, stride if index == 0 else 1, filters, seed, label)
        if step.ends and not (gated and index == len(steps) - 1):
            features = standardized(features, label, affine=True)
    return standardized(features, name, affine=False) if gated else features


def _layer(features: Any, step: Step, stride: int, filters: int, seed: int, name: str) -> Any:
    if step.kind == "max":
        return keras.layers.MaxPooling2D(step.side, stride, padding="same", name=name)(features)
    if step.kind == "average":
        return keras.layers.AveragePooling2D(step.side, stride, padding="same", name=name)(features)
    if step.kind == "depthwise":
        return keras.layers.DepthwiseConv2D(
            step.side,
            stride,
            padding="same",
            use_bias=False,
            depthwise_initializer=he_normal(seed_of(seed, name)),
            name=name,
        )(features)
    if step.groups > 1:  # TensorFlow has no gradient of grouped convolutions on CPUs
        shares = tf.split(features, step.groups, axis=-1)
        single, width = dataclasses.replace(step, groups=1), filters // step.groups
        made = [_layer(share, single, stride, width, seed, f"{name}/{index}") for index, share in enumerate(shares)]
        return keras.layers.Concatenate(name=name)(made)
    dilation = step.dilation
    if dilation == stride == 2:
        # Taps two apart around every second position lie on the grid of every second position.
        features = keras.layers.MaxPooling2D(1, 2, padding="same", name=f"{name}/grid")(features)
        stride = dilation = 1
    layer = keras.layers.Conv2D(
        filters,
        step.side,
        stride,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer=he_normal(seed_of(seed, name)),
        name=name,
    )
    return differentiable(layer)(features)
