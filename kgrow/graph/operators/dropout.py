"""`Dropout`: values that are dropped at random in training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow.graph.operators._kept_values import KeepsValues
from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators.operator import INPUT_RANGE, Operator, Part, Shape, Weights


@dataclasses.dataclass(frozen=True)
class _Dropout(KeepsValues):
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
        return _layer(name, self.rate, seed, lambda shape: shape)


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
        return _layer(name, self.rate, seed, lambda shape: tf.concat([shape[:1], [1, 1], shape[3:]], axis=0))


def _layer(name: str, rate: float, seed: int, noise_shape: Any) -> Any:
    """Returns a layer whose draws depend on the seed and the number of its calls in training, `layer.draws`.

    Keras' own layers draw from a generator that no checkpoint holds. A loop that resumes sets the number; see
    `GrowingNetwork.start_draws`.
    """

    class SeededDropout(keras.layers.Layer):  # here, because the base class loads TensorFlow
        def call(self, inputs: Any, training: Any = None) -> Any:
            if not training or not rate:
                return inputs
            draws = tf.random.stateless_uniform(noise_shape(tf.shape(inputs)), tf.stack([seed, self.draws]))
            self.draws.assign_add(1)
            return inputs * tf.cast(draws >= rate, inputs.dtype) / (1 - rate)

    layer = SeededDropout(name=name)
    once = tf.VariableAggregation.ONLY_FIRST_REPLICA
    layer.__dict__["draws"] = tf.Variable(
        0, trainable=False, dtype=tf.int32, aggregation=once
    )  # no weight of the layer
    return layer
