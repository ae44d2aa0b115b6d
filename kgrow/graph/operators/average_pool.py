"""`AveragePool`: the mean value in a window."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators._window import Windowed, plain_options
from kgrow.graph.operators.operator import INPUT_RANGE, Operator, Shape, Weights


@dataclasses.dataclass(frozen=True)
class AveragePool(Windowed):
    """Average pooling; padding does not count, so that a constant stays what it is."""

    kind = "average_pool"
    value_range = INPUT_RANGE
    keras_layers = ("AveragePooling2D",)

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return (*self.moved(inputs[0]), inputs[0][-1])

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.AveragePooling2D(self.window, self.strides, self.padding, name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.nn.avg_pool2d(inputs[0], self.window, self.strides, self.padding.upper())

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        return inputs[0]

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """See `Operator.is_non_negative`."""
        return all(inputs)

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        return cls(**plain_options(config, window="pool_size"))
