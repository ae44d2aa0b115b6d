"""`Activation`: an elementwise function, by its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from kgrow._checks import check_name
from kgrow.graph.operators._tensorflow import keras, tf
from kgrow.graph.operators.operator import OWN_RANGE, Operator, Shape, Weights

# Keras' names of elementwise functions; ReLU, ReLU6 and leaky ReLU are separate operators.
FUNCTIONS = (
    "elu", "gelu", "hard_sigmoid", "hard_swish", "mish", "selu", "sigmoid", "softplus", "softsign", "swish", "tanh",
)  # fmt: skip
ALIASES = {"silu": "swish"}
FIXED_RANGES = {"sigmoid": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}
NON_NEGATIVE = ("hard_sigmoid", "sigmoid", "softplus")


@dataclasses.dataclass(frozen=True)
class Activation(Operator):
    """A smooth or piecewise function without options.

    Args:
        function: Name in `FUNCTIONS`.
    """

    kind = "activation"
    keras_layers: ClassVar[tuple[str, ...]] = ("Activation",)

    function: str = "sigmoid"

    def __post_init__(self) -> None:
        check_name(FUNCTIONS, self.function, "function")

    @property
    def value_range(self) -> str | tuple[float, float]:  # type: ignore[override]
        """See `Operator`; the interpreters fix these."""
        return FIXED_RANGES.get(self.function, OWN_RANGE)

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return inputs[0]

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        return keras.layers.Activation(hard_swish if self.function == "hard_swish" else self.function, name=name)

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        return self._function()(inputs[0])

    def _function(self) -> Any:
        return hard_swish if self.function == "hard_swish" else keras.activations.get(self.function)

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        values = self._function()(tf.constant(np.nan_to_num(inputs[0]), tf.float32)).numpy().astype(np.float64)
        return np.where(np.isnan(inputs[0]), np.nan, values)

    def is_non_negative(self, inputs: Sequence[bool]) -> bool:
        """See `Operator.is_non_negative`."""
        return self.function in NON_NEGATIVE

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        return cls(ALIASES.get(config["activation"], config["activation"]))


def hard_swish(features: Any) -> Any:
    """Returns x * relu6(x + 3) / 6, in the form that the converter turns into one operation."""
    return features * tf.nn.relu6(features + 3.0) * (1.0 / 6.0)
