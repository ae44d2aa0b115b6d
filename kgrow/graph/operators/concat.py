"""`Concat`: concatenated maps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators.operator import INPUT_RANGE, Operator, Shape, Weights


@dataclasses.dataclass(frozen=True)
class Concat(Operator):
    """The channels of all inputs, one after the other."""

    kind = "concat"
    is_variadic = True
    fuses = False  # it only copies
    value_range = INPUT_RANGE
    keras_layers = ("Concatenate",)

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        if len({shape[:-1] for shape in inputs}) != 1:
            raise ValueError(f"`concat` must read maps of one size, but reads {', '.join(map(str, inputs))}.")
        return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.Concatenate(name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.concat(list(inputs), axis=-1)

    def aligned(self, inputs: Sequence[np.ndarray], shapes: Sequence[Shape]) -> list[np.ndarray]:
        """See `Operator.aligned`."""
        return [np.concatenate(inputs)]

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        return np.concatenate(inputs)

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """See `Operator.is_non_negative`."""
        return all(inputs)

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        if config["axis"] not in (-1, len(inputs[0])):
            raise ValueError(f"works along the axis {config['axis']}, where only the last one can be read")
        return cls()
