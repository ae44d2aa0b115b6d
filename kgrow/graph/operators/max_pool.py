"""`MaxPool`: the largest value in a window."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators._window import Pool
from kgrow.graph.operators.operator import INPUT_RANGE


@dataclasses.dataclass(frozen=True)
class MaxPool(Pool):
    """Max pooling; padding never wins."""

    kind = "max_pool"
    value_range = INPUT_RANGE
    keras_layers = ("MaxPooling2D",)

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.MaxPooling2D(self.window, self.strides, self.padding, name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.nn.max_pool2d(inputs[0], self.window, self.strides, self.padding.upper())
