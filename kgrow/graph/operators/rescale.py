"""`Rescale`: a fixed affine map of each channel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators.operator import Operator, Shape, Weights


@dataclasses.dataclass(frozen=True)
class Rescale(Operator):
    """Multiplies by a number and adds one, per channel.

    Args:
        scale: Factor per channel.
        offset: Summand per channel.
    """

    kind = "rescale"
    keras_layers = ("Rescaling",)

    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        if not len(self.scale) == len(self.offset) == inputs[0][-1]:
            raise ValueError(f"`scale` and `offset` must hold a number for each of {inputs[0][-1]} channels: {self}.")
        return inputs[0]

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.Rescaling(list(self.scale), list(self.offset), name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return inputs[0] * tf.constant(self.scale, tf.float32) + tf.constant(self.offset, tf.float32)

    def with_channels(self, channels: np.ndarray) -> Operator:
        """See `Operator.with_channels`."""
        scale, offset = (tuple(np.asarray(values)[channels].tolist()) for values in (self.scale, self.offset))
        return Rescale(scale, offset)

    def affine(self, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
        """See `Operator.affine`."""
        return np.asarray(self.scale), np.asarray(self.offset)

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        return inputs[0] * np.asarray(self.scale) + np.asarray(self.offset)

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        channels = inputs[0][-1]
        scale, offset = (np.broadcast_to(np.asarray(config[name], float), channels) for name in ("scale", "offset"))
        return cls(tuple(scale.tolist()), tuple(offset.tolist()))
