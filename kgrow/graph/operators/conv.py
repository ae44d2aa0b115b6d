"""`Conv`: a convolution over all channels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._rules import check_fields
from kgrow.graph.operators._grids import conv2d, differentiable
from kgrow.graph.operators._initial import he_normal
from kgrow.graph.operators._squares import conv_squares
from kgrow.graph.operators._tensorflow import keras, prunable, tf
from kgrow.graph.operators._window import Windowed, plain_options, restricted
from kgrow.graph.operators.max_pool import MaxPool
from kgrow.graph.operators.operator import Operator, Part, Shape, Weights


@dataclasses.dataclass(frozen=True)
class Conv(Windowed):
    """A 2-D convolution.

    Args:
        filters: Number of output channels.
        window: Height and width of the kernel.
        strides: Steps in height and width.
        padding: `"same"` (zeros around) or `"valid"`.
        dilation: Distance of the kernel's taps. With a stride above 1 it is 1, or equal to both strides with `"same"`
            padding.
        use_bias: Whether a bias is added.
    """

    kind = "conv"
    makes_channels = True
    absorbs = True
    low_precision = True
    keras_layers = ("Conv2D",)

    filters: int = 1
    dilation: int = 1
    use_bias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, dict.fromkeys(("filters", "dilation"), check_positive_int))
        if self.dilation > 1 and self.strides != (1, 1) and not self._is_on_grid:
            raise ValueError(f"`dilation` must be 1 or equal the strides, with the padding 'same', but got {self}.")

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        taps = tuple((side - 1) * self.dilation + 1 for side in self.window)
        return (*self.moved(inputs[0], taps), self.filters)

    def kernel_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.kernel_shape`."""
        return (*self.window, inputs[0][-1], self.filters)

    def num_weights(self, *inputs: Shape) -> tuple[int, int]:
        """See `Operator.num_weights`."""
        return self.filters * self.use_bias, 0

    def layer(self, name: str, seed: int) -> Any:
        """See `Operator.layer`."""
        layer = keras.layers.Conv2D(
            self.filters,
            self.window,
            self.strides,
            padding=self.padding,
            dilation_rate=1 if self._is_on_grid else self.dilation,
            use_bias=self.use_bias,
            kernel_initializer=he_normal(seed),
            name=name,
        )
        return prunable(differentiable(layer, self.dilation))

    def compute(self, inputs: Sequence[Any], weights: Mapping[str, Any]) -> Any:
        """See `Operator.compute`."""
        (features,), kernel, padding = inputs, weights["kernel"], self.padding.upper()
        out = conv2d(features, kernel, self.strides, padding, self.dilation)
        return tf.nn.bias_add(out, weights["bias"]) if "bias" in weights else out

    def lowered(self, weights: Weights, shapes: Sequence[Shape]) -> list[Part]:
        """See `Operator.lowered`."""
        if not self._is_on_grid:
            return super().lowered(weights, shapes)
        plain = dataclasses.replace(self, strides=(1, 1), dilation=1)
        return [Part(MaxPool((1, 1), self.strides), (-1,)), Part(plain, (0,), weights)]

    @property
    def _is_on_grid(self) -> bool:
        is_step = self.strides == (self.dilation, self.dilation)
        return self.dilation > 1 and is_step and self.padding == "same"

    def kernel_squares(self, inputs: Any, gradient: Any) -> Any:
        """See `Operator.kernel_squares`."""
        inputs, strides, dilation = self._strided(inputs)
        return conv_squares(inputs, gradient, self.window, strides, self.padding.upper(), (dilation, dilation))

    def patches(self, inputs: Any) -> Any:
        """See `Operator.patches`."""
        inputs, strides, dilation = self._strided(inputs)
        window, rates = (1, *self.window, 1), (1, dilation, dilation, 1)
        found = tf.image.extract_patches(inputs, window, (1, *strides, 1), rates, self.padding.upper())
        return tf.reshape(found, (-1, found.shape[-1]))

    def _strided(self, inputs: Any) -> tuple[Any, Sequence[int], int]:
        """Returns what the taps see, and with which strides and dilation."""
        if self._is_on_grid:
            return tf.nn.max_pool2d(inputs, 1, self.strides, "SAME"), (1, 1), 1
        return inputs, self.strides, self.dilation

    def with_channels(self, channels: np.ndarray) -> Operator:
        """See `Operator.with_channels`."""
        return dataclasses.replace(self, filters=len(channels))

    def constants(self, inputs: Sequence[np.ndarray], weights: Weights, shapes: Sequence[Shape]) -> np.ndarray:
        """See `Operator.constants`."""
        return constant_sums(weights)

    def carried(self, constants: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
        """See `Operator.carried`; zero padding makes the sum smaller at the border."""
        if self.padding == "same" and self.window != (1, 1):
            return super().carried(constants, weights)
        return carried_sums(constants, weights)

    def reads(self, wanted: np.ndarray, weights: Weights, shapes: Sequence[Shape]) -> list[np.ndarray]:
        """See `Operator.reads`."""
        return rows_of(wanted, weights)

    def without_taps(self, weights: Weights) -> tuple[Operator, Weights]:
        """See `Operator.without_taps`; a zero kernel needs no area."""
        if self.window == (1, 1) or self.padding != "same" or weights["kernel"].any():
            return self, weights
        one = {kind: weights[kind][:1, :1] for kind in ("kernel", "mask") if kind in weights}
        return dataclasses.replace(self, window=(1, 1), dilation=1), {**weights, **one}

    def with_bias(self) -> Operator:
        """See `Operator.with_bias`."""
        return dataclasses.replace(self, use_bias=True)

    def folded(self, weights: Weights, scale: np.ndarray, offset: np.ndarray) -> dict[str, np.ndarray]:
        """See `Operator.folded`."""
        return folded_sums(weights, scale, offset)

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        restricted(config, groups=(1,))
        dilation = config["dilation_rate"]
        if dilation[0] != dilation[1]:
            raise ValueError(f"has another dilation in height than in width, {tuple(dilation)}")
        options = plain_options(config, window="kernel_size")
        return cls(**options, filters=config["filters"], dilation=dilation[0], use_bias=config["use_bias"])


def constant_sums(weights: Weights) -> np.ndarray:
    """Returns the bias of every output channel that no input reaches, NaN for the others."""
    kernel = weights["kernel"]
    bias = weights.get("bias", np.zeros(kernel.shape[-1]))
    return np.where(kernel.any(axis=tuple(range(kernel.ndim - 1))), np.nan, bias.astype(np.float64))


def carried_sums(constants: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Returns `Operator.carried` of a kernel with all taps read at every position."""
    gone, kernel = ~np.isnan(constants), weights["kernel"]
    per_channel = kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0, dtype=np.float64)
    return gone, np.where(gone, constants, 0.0) @ per_channel


def rows_of(wanted: np.ndarray, weights: Weights) -> list[np.ndarray]:
    """Returns the input rows with a connection to a wanted column."""
    kernel = weights["kernel"][..., wanted]
    return [np.any(kernel != 0, axis=(*range(kernel.ndim - 2), kernel.ndim - 1))]


def folded_sums(weights: Weights, scale: np.ndarray, offset: np.ndarray) -> dict[str, np.ndarray]:
    """Returns kernel and bias with an affine map of the output folded in, float64."""
    kernel = weights["kernel"].astype(np.float64)
    bias = weights.get("bias", np.zeros(kernel.shape[-1])).astype(np.float64)
    return {**weights, "kernel": kernel * scale, "bias": bias * scale + offset}
