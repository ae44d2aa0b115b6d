"""`LeakyReLU`: the rectifier with a slope below zero."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators.operator import Operator, Shape, Weights


@dataclasses.dataclass(frozen=True)
class LeakyReLU(Operator):
    """x above zero, `slope` times x below.

    Args:
        slope: Slope below zero, at least 0.
    """

    kind = "leaky_relu"
    keeps_non_negative = True
    keras_layers = ("LeakyReLU",)

    slope: float = 0.3

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return inputs[0]

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.LeakyReLU(self.slope, name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.nn.leaky_relu(inputs[0], self.slope)

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        return np.where(inputs[0] < 0, self.slope * inputs[0], inputs[0])

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        return cls(float(config["alpha"]))
