"""`ZeroPadding`: a border of zeros."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators._window import restricted
from kgrow.graph.operators.operator import INPUT_RANGE, Operator, Shape, Weights


@dataclasses.dataclass(frozen=True)
class ZeroPadding(Operator):
    """Zeros around a map.

    Args:
        height: Number of rows before and after.
        width: Number of columns before and after.
    """

    kind = "zero_padding"
    fuses = False
    value_range = INPUT_RANGE
    keras_layers = ("ZeroPadding2D",)

    height: tuple[int, int] = (0, 0)
    width: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if min((*self.height, *self.width)) < 0:
            raise ValueError(f"`height` and `width` must not be negative, but got {self}.")

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        if len(inputs[0]) != 3:
            raise ValueError(f"`zero_padding` must read a map (height, width, channels), but reads {inputs[0]}.")
        height, width, channels = inputs[0]
        return (height + sum(self.height), width + sum(self.width), channels)

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.ZeroPadding2D((self.height, self.width), name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.pad(inputs[0], ((0, 0), self.height, self.width, (0, 0)))

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`; only a zero is unchanged at the border."""
        is_padded = any((*self.height, *self.width))
        return np.where(inputs[0] == 0, 0.0, np.nan) if is_padded else inputs[0]

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """See `Operator.is_non_negative`."""
        return all(inputs)

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        restricted(config, data_format=("channels_last",))
        height, width = config["padding"]
        return cls(tuple(height), tuple(width))
