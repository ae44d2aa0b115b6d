"""`AveragePool`: the mean value in a window."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators._window import Pool
from kgrow.graph.operators.operator import INPUT_RANGE


@dataclasses.dataclass(frozen=True)
class AveragePool(Pool):
    """Average pooling; padding does not count, so constants are preserved."""

    kind = "average_pool"
    value_range = INPUT_RANGE
    keras_layers = ("AveragePooling2D",)

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.AveragePooling2D(self.window, self.strides, self.padding, name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.nn.avg_pool2d(inputs[0], self.window, self.strides, self.padding.upper())
