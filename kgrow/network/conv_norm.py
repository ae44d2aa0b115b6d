"""Convolution and batch normalisation, the pair that every cell is made of."""

import zlib
from collections.abc import Iterator
from typing import Any

from kgrow._keras import keras
from kgrow._tfmot import prunable
from kgrow.network.dilation import differentiable

# Keras' defaults (0.99, 1e-3) leave the moving statistics of a short growth stage far behind the weights.
BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


def kernel_seed(seed: int, name: str) -> int:
    """Derives a kernel's seed from its name, so that what is grown later does not depend on what was built before."""
    return zlib.crc32(f"{seed}/{name}".encode()) % 2**31


def initial_kernel(seed: int) -> keras.initializers.Initializer:
    """Returns what draws a kernel in front of ReLUs: normal, variance 2 / fan_out (He et al. 2015, the backward form).

    Of a depthwise kernel Keras takes all channels for inputs of each, and one for its outputs: fan_out is the window.
    """
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=seed)


class ConvNorm(keras.layers.Layer):
    """Prunable Conv2D (SAME padding, no bias) followed by batch normalisation; no activation.

    Args:
        filters: Output channels.
        kernel_size: Side of the square kernel.
        stride: Down-sampling factor, one or (height, width).
        dilation: Distance of the kernel's taps; with a stride it is 1.
        seed: Of the kernel's initial values, see `initial_kernel`.
        name: Of the layer.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        stride: int | tuple[int, int] = 1,
        *,
        dilation: int = 1,
        seed: int,
        name: str,
    ):
        super().__init__(name=name)
        self.conv = prunable(
            differentiable(
                keras.layers.Conv2D(
                    filters,
                    kernel_size,
                    stride,
                    padding="same",
                    dilation_rate=dilation,
                    use_bias=False,
                    kernel_initializer=initial_kernel(seed),
                    name="conv",
                )
            )
        )
        self.norm = keras.layers.BatchNormalization(**BATCH_NORM, name="norm")

    def call(self, features: Any, training: Any = None) -> Any:
        """Maps (batch, height, width, channels) to (batch, ceil(height / stride), ..., filters)."""
        return self.norm(self.conv(features), training=training)

    def parts(self, name: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        """Yields the layers that hold variables, by the name of the kernel they belong to."""
        yield name, self.conv
        yield name, self.norm
