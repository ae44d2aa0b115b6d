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
    """max(0, x), optionally with an upper bound, a slope below the threshold, or a threshold other than 0.

    Args:
        max_value: Upper bound, None for none.
        slope: Slope below the threshold, at least 0.
        threshold: Value below which the slope applies, at least 0.
    """

    kind = "relu"
    keras_layers = ("ReLU",)

    max_value: float | None = None
    slope: float = 0.0
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if min(self.slope, self.threshold) < 0 or (self.max_value is not None and not self.max_value > self.threshold):
            raise ValueError(
                f"`max_value` must be above `threshold`, and neither it nor `slope` negative, but got {self}."
            )

    @property
    def is_fused(self) -> bool:  # type: ignore[override]
        """See `Operator`; devices fuse ReLU and ReLU6."""
        return not self.slope and not self.threshold and self.max_value in (None, 6)

    @property
    def keeps_non_negative(self) -> bool:  # type: ignore[override]
        """See `Operator`."""
        return self.max_value is None and not self.threshold

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return inputs[0]

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.ReLU(self.max_value, self.slope, self.threshold, name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        if not self.is_fused:
            return super().compute(inputs, weights)
        return tf.nn.relu(inputs[0]) if self.max_value is None else tf.nn.relu6(inputs[0])

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        values = inputs[0]
        below = self.slope * (values - self.threshold)
        made = np.where(values < self.threshold, below, values)  # keeps NaN, which is not below
        return made if self.max_value is None else np.minimum(made, self.max_value)

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """See `Operator.is_non_negative`."""
        return not self.slope

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        return cls(config["max_value"], float(config["negative_slope"] or 0), float(config["threshold"] or 0))
