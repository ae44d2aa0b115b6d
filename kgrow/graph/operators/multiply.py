"""`Multiply`: the product of maps, as in squeeze and excitation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._tensorflow import keras
from kgrow.graph.operators.operator import Operator, Shape, Weights


@dataclasses.dataclass(frozen=True)
class Multiply(Operator):
    """The product of two maps of one shape, or of a map and one with a single position."""

    kind = "multiply"
    is_variadic = True
    keras_layers = ("Multiply",)

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        if len(inputs) != 2 or len({len(shape) for shape in inputs}) != 1 or inputs[0][-1] != inputs[1][-1]:
            raise ValueError(f"`multiply` must read two maps of as many channels, but reads {inputs}.")
        larger, smaller = sorted(inputs, key=np.prod, reverse=True)
        if any(other not in (1, side) for side, other in zip(larger, smaller, strict=True)):
            raise ValueError(f"`multiply` must read maps of one shape or of one position, but reads {inputs}.")
        return larger

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.Multiply(name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return inputs[0] * inputs[1]

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        first, second = inputs
        return np.where((first == 0) | (second == 0), 0.0, first * second)

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """See `Operator.is_non_negative`."""
        return all(inputs)
