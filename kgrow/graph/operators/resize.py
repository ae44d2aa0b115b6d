"""`Resize`: a map with more positions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow._checks import check_name
from kgrow.graph.operators._kept_values import KeepsValues
from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators._window import restricted
from kgrow.graph.operators.operator import INPUT_RANGE, Operator, Shape

INTERPOLATIONS = ("nearest", "bilinear")


@dataclasses.dataclass(frozen=True)
class Resize(KeepsValues):
    """Repeats or interpolates positions.

    Args:
        factors: Factors of height and width.
        interpolation: `"nearest"` or `"bilinear"`.
    """

    kind = "resize"
    fuses = False
    value_range = INPUT_RANGE
    keras_layers = ("UpSampling2D",)

    factors: tuple[int, int] = (2, 2)
    interpolation: str = "nearest"

    def __post_init__(self) -> None:
        if min(self.factors) < 1:
            raise ValueError(f"`factors` must be positive, but got {self.factors}.")
        check_name(INTERPOLATIONS, self.interpolation, "interpolation")

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        if len(inputs[0]) != 3:
            raise ValueError(f"`resize` must read a map (height, width, channels), but reads {inputs[0]}.")
        height, width, channels = inputs[0]
        return (height * self.factors[0], width * self.factors[1], channels)

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.UpSampling2D(self.factors, interpolation=self.interpolation, name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        size = [side * factor for side, factor in zip(inputs[0].shape[1:3], self.factors, strict=True)]
        return tf.image.resize(inputs[0], size, method=self.interpolation)

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        restricted(config, data_format=("channels_last",))
        return cls(tuple(config["size"]), config["interpolation"])
