"""`Dropout`: values that are dropped at random in training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._tensorflow import keras
from kgrow.graph.operators.operator import INPUT_RANGE, Operator, Part, Shape, Weights


@dataclasses.dataclass(frozen=True)
class _Dropout(Operator):
    """The base class of both kinds of dropout."""

    rate: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"`rate` must be in [0, 1), but got {self.rate!r}.")

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return inputs[0]

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return inputs[0]

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        return inputs[0]

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """See `Operator.is_non_negative`."""
        return all(inputs)

    def lowered(self, weights: Weights, shapes: Sequence[Shape]) -> list[Part]:
        """See `Operator.lowered`."""
        return []

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        return cls(rate=config["rate"])


@dataclasses.dataclass(frozen=True)
class Dropout(_Dropout):
    """Drops single values in training; nothing happens in inference.

    Args:
        rate: Dropped fraction, in [0, 1).
    """

    kind = "dropout"
    value_range = INPUT_RANGE
    keras_layers = ("Dropout",)

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.Dropout(self.rate, seed=seed, name=name)


@dataclasses.dataclass(frozen=True)
class ChannelDropout(_Dropout):
    """Drops whole channels in training; nothing happens in inference.

    Args:
        rate: Dropped fraction, in [0, 1).
    """

    kind = "channel_dropout"
    value_range = INPUT_RANGE
    keras_layers = ("SpatialDropout2D",)

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        layer = keras.layers.SpatialDropout2D(self.rate, name=name)
        layer.seed = seed  # its constructor takes none
        return layer
