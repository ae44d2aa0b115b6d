"""`Add`: the sum of maps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._tensorflow import keras
from kgrow.graph.operators.operator import Operator, Part, Shape, Weights


@dataclasses.dataclass(frozen=True)
class Add(Operator):
    """The sum of two or more maps of one shape."""

    kind = "add"
    is_variadic = True
    adds_inputs = True
    keras_layers = ("Add",)

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return same_shape(self.kind, inputs)

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.Add(name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`; two inputs, because 8 bits have no sum of more."""
        first, second = inputs
        return first + second

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        return np.sum(inputs, axis=0)

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """See `Operator.is_non_negative`."""
        return all(inputs)

    def lowered(self, weights: Weights, shapes: Sequence[Shape]) -> list[Part]:
        """See `Operator.lowered`; two summands at a time."""
        parts = [Part(self, (-1, -2))]
        return parts + [Part(self, (number, -3 - number)) for number in range(len(shapes) - 2)]


def same_shape(kind: str, inputs: Sequence[Shape]) -> Shape:
    """Returns the one shape of all inputs.

    Raises:
        ValueError: If there are different shapes.
    """
    if len(set(inputs)) != 1:
        raise ValueError(f"`{kind}` must read maps of one shape, but reads {', '.join(map(str, inputs))}.")
    return inputs[0]
