"""`BatchNorm`: batch normalization."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators._tensorflow import keras
from kgrow.graph.operators.operator import Operator, Part, Shape, Weights
from kgrow.graph.operators.rescale import Rescale


@dataclasses.dataclass(frozen=True)
class BatchNorm(Operator):
    """Normalization of each channel, by the batch in training and by moving statistics in inference.

    Keras' defaults (momentum 0.99, epsilon 1e-3) leave the moving statistics of a short growth stage far behind the
    weights.

    Args:
        momentum: Momentum of the moving statistics.
        epsilon: Number added to the variance.
        has_scale: Whether gamma is trained; otherwise it is 1.
        has_offset: Whether beta is trained; otherwise it is 0.
    """

    kind = "batch_norm"
    keras_layers = ("BatchNormalization",)

    momentum: float = 0.9
    epsilon: float = 1e-5
    has_scale: bool = True
    has_offset: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.momentum <= 1 and self.epsilon > 0):
            raise ValueError(f"`momentum` must be in [0, 1] and `epsilon` positive, but got {self}.")

    @property
    def scales(self) -> tuple[str, ...]:  # type: ignore[override]
        """See `Operator`; without gamma the weights that make the channel scale it."""
        return ("gamma", *(("beta",) if self.has_offset else ())) if self.has_scale else ()

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return inputs[0]

    def num_weights(self, *inputs: Shape) -> tuple[int, int]:
        """See `Operator.num_weights`."""
        channels = inputs[0][-1]
        return channels * (self.has_scale + self.has_offset), 2 * channels

    def with_momentum(self, largest: float) -> Operator:
        """See `Operator.with_momentum`."""
        return dataclasses.replace(self, momentum=min(self.momentum, largest))

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.BatchNormalization(
            momentum=self.momentum, epsilon=self.epsilon, scale=self.has_scale, center=self.has_offset, name=name
        )

    def affine(self, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
        """See `Operator.affine`."""
        mean, variance = (
            weights.get(name, np.zeros(1)).astype(np.float64) for name in ("moving_mean", "moving_variance")
        )
        scale = weights.get("gamma", np.ones(mean.shape)).astype(np.float64) / np.sqrt(variance + self.epsilon)
        return scale, weights.get("beta", np.zeros(mean.shape)).astype(np.float64) - mean * scale

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        scale, offset = self.affine(weights)
        return np.where(scale == 0, 0.0, inputs[0] * scale) + offset

    def reads(self, wanted: np.ndarray, weights: Weights, shapes: Sequence[Shape]) -> list[np.ndarray]:
        """See `Operator.reads`."""
        return [wanted & (self.affine(weights)[0] != 0)]

    def raised(self, weights: Weights, constant: np.ndarray) -> Weights | None:
        """See `Operator.raised`."""
        return {**weights, "beta": (weights["beta"] + constant).astype(np.float32)} if self.has_offset else None

    def compensated(self, weights: Weights, constant: np.ndarray) -> Weights | None:
        """See `Operator.compensated`."""
        return {**weights, "moving_mean": (weights["moving_mean"] - constant).astype(np.float32)}

    def lowered(self, weights: Weights, shapes: Sequence[Shape]) -> list[Part]:
        """See `Operator.lowered`."""
        scale, offset = (np.broadcast_to(values, shapes[0][-1]) for values in self.affine(weights))
        return [Part(Rescale(tuple(scale.tolist()), tuple(offset.tolist())), (-1,))]

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        axis = config["axis"]
        last = [axis] if isinstance(axis, int) else list(axis)
        if last not in ([-1], [len(inputs[0])]):
            raise ValueError(f"works along the axis {axis}, where only the last one can be read")
        return cls(config["momentum"], config["epsilon"], config["scale"], config["center"])
