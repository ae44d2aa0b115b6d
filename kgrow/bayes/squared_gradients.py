"""Sums over examples of squared kernel gradients, from what a layer reads and the gradient in what it makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgrow._keras import tf

# Values held at once by the patches and gradients of a convolution: 64 MiB in float32.
MAX_VALUES = 2**24


def dense_squares(inputs: Any, gradient: Any) -> Any:
    """Returns the sum over examples of squared gradients in a Dense kernel: (inputs, outputs).

    The gradient of one example is an outer product, so its square is the outer product of squares.

    Args:
        inputs: (batch, inputs).
        gradient: Of the summed loss in the outputs, (batch, outputs).
    """
    return tf.matmul(tf.square(inputs), tf.square(gradient), transpose_a=True)


def conv_squares(inputs: Any, gradient: Any, kernel_size: Sequence[int], strides: Sequence[int], padding: str) -> Any:
    """Returns the sum over examples of squared gradients in the kernel of a convolution.

    An example's gradient is a sum over positions, which has to be complete before it is squared: the gradient of a
    batch, or of a part of it, does not hold it. It costs as many multiplications as the kernel's gradient.

    Args:
        inputs: (batch, height, width, channels).
        gradient: Of the summed loss in the outputs, (batch, output height, output width, filters).
        kernel_size: (height, width).
        strides: (height, width).
        padding: `"SAME"` or `"VALID"`.

    Returns:
        (kernel height, kernel width, channels, filters).
    """
    channels, filters = inputs.shape[-1], gradient.shape[-1]
    width = kernel_size[0] * kernel_size[1] * channels
    positions = gradient.shape[1] * gradient.shape[2]
    step = max(1, MAX_VALUES // (positions * width + width * filters))
    total = tf.zeros((width, filters), gradient.dtype)
    for start in range(0, len(inputs), step):
        patches = tf.image.extract_patches(
            inputs[start : start + step], (1, *kernel_size, 1), (1, *strides, 1), (1, 1, 1, 1), padding
        )
        columns = tf.reshape(patches, (-1, positions, width))
        rows = tf.reshape(gradient[start : start + step], (-1, positions, filters))
        total += tf.reduce_sum(tf.square(tf.matmul(columns, rows, transpose_a=True)), axis=0)
    return tf.reshape(total, (*kernel_size, channels, filters))
