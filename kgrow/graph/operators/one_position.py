"""`OnePosition`: a vector as a map of one position."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow.graph.operators._kept_values import KeepsValues
from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators.flatten import Flatten
from kgrow.graph.operators.operator import INPUT_RANGE, Operator, Shape


@dataclasses.dataclass(frozen=True)
class OnePosition(KeepsValues):
    """A map of height and width 1 with the features of a vector as channels, as squeeze and excitation needs it."""

    kind = "one_position"
    fuses = False
    is_reshape = True
    value_range = INPUT_RANGE
    keras_layers = ("Reshape",)

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        if len(inputs[0]) != 1:
            raise ValueError(f"`one_position` must read a vector, but reads {inputs[0]}.")
        return (1, 1, *inputs[0])

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.Reshape((1, 1, -1), name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return tf.reshape(inputs[0], (-1, 1, 1, inputs[0].shape[-1]))

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`; a Reshape to a vector is `Flatten`."""
        target, (given,) = tuple(config["target_shape"]), inputs
        if len(target) == 1:
            return Flatten()
        if len(given) == 1 and target in ((1, 1, -1), (1, 1, *given)):
            return cls()
        raise ValueError(f"reshapes {given} to {target}, where only a vector or a map of one position can be read")
