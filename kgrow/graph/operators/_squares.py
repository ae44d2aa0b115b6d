"""Sums over examples of squared kernel gradients, from a layer's inputs and the gradients of its outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from kgrow.graph.operators._tensorflow import tf

# Largest number of values held at once by the patches and gradients of a convolution: 64 MiB in float32.
MAX_VALUES = 2**24


def dense_squares(inputs: Any, gradient: Any) -> Any:
    """Returns the sum over examples of squared gradients in a Dense kernel: (inputs, outputs).

    The gradient of one example is an outer product, so its square is the outer product of squares.

    Args:
        inputs: Inputs of the layer, (batch, inputs).
        gradient: Gradient of the summed loss in the outputs, (batch, outputs).
    """
    return tf.matmul(tf.square(inputs), tf.square(gradient), transpose_a=True)


def conv_squares(
    inputs: Any,
    gradient: Any,
    kernel_size: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int] = (1, 1),
) -> Any:
    """Returns the sum over examples of squared gradients in the kernel of a convolution.

    An example's gradient is a sum over positions, which must be complete before it is squared. The gradient of a batch,
    or of a part of it, does not contain it. It costs as many multiplications as the kernel's gradient.

    Args:
        inputs: Inputs of the layer, (batch, height, width, channels).
        gradient: Gradient of the summed loss in the outputs, (batch, output height, output width, filters).
        kernel_size: (height, width).
        strides: (height, width).
        padding: `"SAME"` or `"VALID"`.
        dilations: (height, width).

    Returns:
        (kernel height, kernel width, channels, filters).
    """
    channels, filters = inputs.shape[-1], gradient.shape[-1]
    window = (*kernel_size, channels)

    def squares(patches: Any, rows: Any) -> Any:
        return tf.reduce_sum(tf.square(tf.matmul(patches, rows, transpose_a=True)), axis=0)

    total = _over_parts(inputs, gradient, (kernel_size, strides, padding, dilations), squares, math.prod(window))
    return tf.reshape(total, (*window, filters))


def depthwise_squares(
    inputs: Any,
    gradient: Any,
    kernel_size: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int] = (1, 1),
) -> Any:
    """Returns the same as `conv_squares` for a depthwise convolution with one filter per channel.

    Returns:
        (kernel height, kernel width, channels, 1).
    """
    channels = inputs.shape[-1]
    taps = math.prod(kernel_size)

    def squares(patches: Any, rows: Any) -> Any:
        apart = tf.reshape(patches, (-1, rows.shape[1], taps, channels))
        return tf.reduce_sum(tf.square(tf.einsum("bptc,bpc->btc", apart, rows)), axis=0)

    total = _over_parts(inputs, gradient, (kernel_size, strides, padding, dilations), squares, taps)
    return tf.reshape(total, (*kernel_size, channels, 1))


def _over_parts(inputs: Any, gradient: Any, window: Any, squares: Callable[[Any, Any], Any], held: int) -> Any:
    """Returns the sum of a function of patches and gradients over parts of the batch that fit into memory.

    Args:
        inputs: Inputs of the layer, (batch, height, width, channels).
        gradient: Gradient in the outputs, (batch, output height, output width, filters).
        window: Kernel size, strides, padding and dilations.
        squares: Function that maps (part, positions, window * channels) and (part, positions, filters) to a sum over
            the part.
        held: Number of additional values that it holds per example and filter.
    """
    kernel_size, strides, padding, dilations = window
    width, filters = math.prod(kernel_size) * inputs.shape[-1], gradient.shape[-1]
    positions = gradient.shape[1] * gradient.shape[2]
    step = max(1, MAX_VALUES // (positions * width + held * filters))
    sums = []
    for start in range(0, len(inputs), step):
        patches = tf.image.extract_patches(
            inputs[start : start + step], (1, *kernel_size, 1), (1, *strides, 1), (1, *dilations, 1), padding
        )
        rows = tf.reshape(gradient[start : start + step], (-1, positions, filters))
        sums.append(squares(tf.reshape(patches, (-1, positions, width)), rows))
    return tf.add_n(sums)
