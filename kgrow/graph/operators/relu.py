"""`ReLU`: the rectifier, with or without an upper bound."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators.operator import Operator, Shape, Weights


@dataclasses.dataclass(frozen=True)
class ReLU(Operator):
    """max(0, x), or min(6, max(0, x)).

    Args:
        max_value: None, or 6, the one bound that devices fuse.
    """

    kind = "relu"
    is_fused = True
    keras_layers = ("ReLU",)

    max_value: float | None = None

    def __post_init__(self) -> None:
        if self.max_value not in (None, 6):
            raise ValueError(f"`max_value` must be None or 6, but got {self.max_value!r}.")

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return inputs[0]

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.ReLU(self.max_value, name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.nn.relu(inputs[0]) if self.max_value is None else tf.nn.relu6(inputs[0])

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        return np.clip(inputs[0], 0.0, self.max_value)  # keeps NaN

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """See `Operator.is_non_negative`."""
        return True

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        slope, threshold = config.get("negative_slope") or 0, config.get("threshold") or 0
        if slope or threshold:
            raise ValueError("has a slope or a threshold, where only plain ReLU and ReLU6 can be read")
        return cls(config.get("max_value"))
