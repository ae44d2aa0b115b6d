"""`DepthwiseConv`: a separate convolution of each channel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._rules import check_fields
from kgrow.graph.operators._initial import he_normal
from kgrow.graph.operators._squares import depthwise_squares
from kgrow.graph.operators._tensorflow import prunable, tf
from kgrow.graph.operators._window import Windowed, plain_options, restricted
from kgrow.graph.operators.conv import folded_sums
from kgrow.graph.operators.operator import Operator, Part, Shape, Weights


@dataclasses.dataclass(frozen=True)
class DepthwiseConv(Windowed):
    """A 2-D convolution in which every input channel gives `multiplier` output channels.

    Args:
        window: Height and width of the kernels.
        strides: Steps, equal in height and width.
        padding: `"same"` or `"valid"`.
        multiplier: Output channels per input channel.
        use_bias: Whether a bias is added.
    """

    kind = "depthwise"
    absorbs = True
    keras_layers = ("DepthwiseConv2D",)

    multiplier: int = 1
    use_bias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, {"multiplier": check_positive_int})
        if self.strides[0] != self.strides[1]:
            raise ValueError(f"`strides` must be equal, as TensorFlow has no others, but got {self.strides}.")

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return (*self.moved(inputs[0]), inputs[0][-1] * self.multiplier)

    def kernel_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.kernel_shape`."""
        return (*self.window, inputs[0][-1], self.multiplier)

    def num_weights(self, *inputs: Shape) -> tuple[int, int]:
        """See `Operator.num_weights`."""
        return inputs[0][-1] * self.multiplier * self.use_bias, 0

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        from kgrow._tfmot import PrunableDepthwise

        return prunable(
            PrunableDepthwise(
                self.window,
                self.strides,
                padding=self.padding,
                depth_multiplier=self.multiplier,
                use_bias=self.use_bias,
                depthwise_initializer=he_normal(seed),
                name=name,
            )
        )

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`; the kernel is (height, width, channels * multiplier)."""
        # With other ways to add the last axis the converter loses the channels' ranges.
        kernel = tf.reshape(weights["kernel"], self.kernel_shape(inputs[0].shape[1:]))
        out = tf.nn.depthwise_conv2d(inputs[0], kernel, (1, *self.strides, 1), self.padding.upper())
        return tf.nn.bias_add(out, weights["bias"]) if "bias" in weights else out

    def kernel_squares(self, inputs: Any, gradient: Any) -> Any:
        """See `Operator.kernel_squares`."""
        parts = tf.reshape(gradient, (*gradient.shape[:3], -1, self.multiplier))
        window = (self.window, self.strides, self.padding.upper())
        squares = [depthwise_squares(inputs, parts[..., place], *window) for place in range(self.multiplier)]
        return tf.concat(squares, axis=-1)

    def lowered(self, weights: Weights, shapes: Sequence[Shape]) -> list[Part]:
        """See `Operator.lowered`; a range per channel needs all channels in one axis."""
        if "kernel" in weights:
            kernel = weights["kernel"]
            weights = {**weights, "kernel": kernel.reshape(*self.window, kernel.shape[-2] * kernel.shape[-1])}
        return [Part(self, (-1,), weights)]

    def aligned(self, inputs: Sequence[np.ndarray], shapes: Sequence[Shape]) -> list[np.ndarray]:
        """See `Operator.aligned`."""
        return [np.repeat(inputs[0], self.multiplier)]

    def sides(self, read: np.ndarray, made: np.ndarray, outside: Any) -> tuple[np.ndarray, np.ndarray]:
        """See `Operator.sides`; the last axis is the multiplier, not a channel."""
        return read, np.full(self.multiplier, outside)

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        bias = weights.get("bias", np.zeros(inputs[0].size * self.multiplier)).astype(np.float64)
        kernels = _by_output(weights["kernel"])
        values = np.repeat(inputs[0], self.multiplier)
        if self.padding == "same" and self.window != (1, 1):
            values = np.where(values == 0, 0.0, np.nan)
        return np.where(kernels.any(axis=0), values * kernels.sum(axis=0, dtype=np.float64), 0.0) + bias

    def reads(self, wanted: np.ndarray, weights: Weights, shapes: Sequence[Shape]) -> list[np.ndarray]:
        """See `Operator.reads`."""
        return super().reads(wanted & _by_output(weights["kernel"]).any(axis=0), weights, shapes)

    def with_bias(self) -> Operator:
        """See `Operator.with_bias`."""
        return dataclasses.replace(self, use_bias=True)

    def folded(self, weights: Weights, scale: np.ndarray, offset: np.ndarray) -> dict[str, np.ndarray]:
        """See `Operator.folded`; the kernel is (height, width, channels * multiplier)."""
        return folded_sums(weights, scale, offset)

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        restricted(config, dilation_rate=((1, 1), [1, 1]), groups=(1,))
        options = plain_options(config, window="kernel_size")
        return cls(**options, multiplier=config["depth_multiplier"], use_bias=config["use_bias"])


def _by_output(kernel: np.ndarray) -> np.ndarray:
    return kernel.reshape(-1, kernel.shape[-2] * kernel.shape[-1])
