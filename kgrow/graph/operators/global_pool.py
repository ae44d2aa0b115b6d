"""`GlobalPool`: one value per channel of a whole map."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow.graph.operators._kept_values import KeepsValues
from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators._window import restricted
from kgrow.graph.operators.operator import INPUT_RANGE, OWN_RANGE, Operator, Shape


@dataclasses.dataclass(frozen=True)
class _GlobalPool(KeepsValues):
    """The base class of both global pools."""

    keeps_sides: bool = False

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        if len(inputs[0]) != 3:
            raise ValueError(f"`{self.kind}` must read a map (height, width, channels), but reads {inputs[0]}.")
        return (1, 1, inputs[0][-1]) if self.keeps_sides else inputs[0][-1:]

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        restricted(config, data_format=("channels_last",))
        return cls(keeps_sides=config["keepdims"])


@dataclasses.dataclass(frozen=True)
class GlobalAveragePool(_GlobalPool):
    """The mean of each channel.

    Args:
        keeps_sides: Whether the output is a map of one position, else a vector.
    """

    kind = "global_average_pool"
    value_range = OWN_RANGE  # a mean has a narrower range than its values
    keras_layers = ("GlobalAveragePooling2D",)

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.GlobalAveragePooling2D(keepdims=self.keeps_sides, name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.reduce_mean(inputs[0], axis=(1, 2), keepdims=self.keeps_sides)


@dataclasses.dataclass(frozen=True)
class GlobalMaxPool(_GlobalPool):
    """The largest value of each channel.

    Args:
        keeps_sides: Whether the output is a map of one position, else a vector.
    """

    kind = "global_max_pool"
    value_range = INPUT_RANGE
    keras_layers = ("GlobalMaxPooling2D",)

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.GlobalMaxPooling2D(keepdims=self.keeps_sides, name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.reduce_max(inputs[0], axis=(1, 2), keepdims=self.keeps_sides)
