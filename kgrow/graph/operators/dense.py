"""`Dense`: a fully connected layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._initial import uniform_fan_in
from kgrow.graph.operators._squares import conv_squares, dense_squares
from kgrow.graph.operators._tensorflow import keras, prunable, tf
from kgrow.graph.operators.conv import carried_sums, constant_sums, folded_sums, rows_of
from kgrow.graph.operators.operator import Operator, Shape, Weights


@dataclasses.dataclass(frozen=True)
class Dense(Operator):
    """A matrix product over the last axis.

    Args:
        units: Number of outputs.
        use_bias: Whether a bias is added.
    """

    kind = "dense"
    makes_channels = True
    absorbs = True
    keras_layers = ("Dense",)

    units: int = 1
    use_bias: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return (*inputs[0][:-1], self.units)

    def kernel_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.kernel_shape`."""
        return (inputs[0][-1], self.units)

    def num_weights(self, *inputs: Shape) -> tuple[int, int]:
        """See `Operator.num_weights`."""
        return self.units * self.use_bias, 0

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        start = uniform_fan_in(seed)
        return prunable(keras.layers.Dense(self.units, use_bias=self.use_bias, kernel_initializer=start, name=name))

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        (features,), kernel = inputs, weights["kernel"]
        out = features @ kernel if len(features.shape) == 2 else tf.tensordot(features, kernel, 1)
        return out + weights["bias"] if "bias" in weights else out

    def kernel_squares(self, inputs: Any, gradient: Any) -> Any:
        """See `Operator.kernel_squares`; in a map, every position counts as part of its example."""
        if len(inputs.shape) > 2:
            inputs = inputs[(slice(None),) + (None,) * (4 - len(inputs.shape))]
            gradient = gradient[(slice(None),) + (None,) * (4 - len(gradient.shape))]
            return conv_squares(inputs, gradient, (1, 1), (1, 1), "VALID")[0, 0]
        return dense_squares(inputs, gradient)

    def patches(self, inputs: Any) -> Any:
        """See `Operator.patches`."""
        return tf.reshape(inputs, (-1, inputs.shape[-1]))

    def with_channels(self, channels: np.ndarray) -> Operator:
        """See `Operator.with_channels`."""
        return dataclasses.replace(self, units=len(channels))

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        return constant_sums(weights)

    def carried(self, constants: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
        """See `Operator.carried`."""
        return carried_sums(constants, weights)

    def reads(self, wanted: np.ndarray, weights: Weights, shapes: Sequence[Shape]) -> list[np.ndarray]:
        """See `Operator.reads`."""
        return rows_of(wanted, weights)

    def with_bias(self) -> Operator:
        """See `Operator.with_bias`."""
        return dataclasses.replace(self, use_bias=True)

    def folded(self, weights: Weights, scale: np.ndarray, offset: np.ndarray) -> dict[str, np.ndarray]:
        """See `Operator.folded`."""
        return folded_sums(weights, scale, offset)

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        return cls(config["units"], config["use_bias"])
