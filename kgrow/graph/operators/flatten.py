"""`Flatten`: a map as one vector."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._kept_values import KeepsValues
from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators.operator import INPUT_RANGE, Operator, Shape


@dataclasses.dataclass(frozen=True)
class Flatten(KeepsValues):
    """The concatenation of all positions, with the channels of each together."""

    kind = "flatten"
    fuses = False
    is_reshape = True
    value_range = INPUT_RANGE
    keras_layers = ("Flatten",)

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return (math.prod(inputs[0]),)

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.Flatten(name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.reshape(inputs[0], (-1, math.prod(inputs[0].shape[1:])))

    def aligned(self, inputs: Sequence[np.ndarray], shapes: Sequence[Shape]) -> list[np.ndarray]:
        """See `Operator.aligned`."""
        return [np.tile(inputs[0], math.prod(shapes[0][:-1]))]

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        if config.get("data_format", "channels_last") not in (None, "channels_last"):
            raise ValueError("has its channels first, where only channels_last can be read")
        return cls()
