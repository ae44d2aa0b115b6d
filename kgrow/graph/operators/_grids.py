"""Convolutions of every second pixel, or of pixels apart, with a gradient on every processor."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from kgrow.graph.operators._tensorflow import keras, tf

Pair = tuple[int, int]


def conv2d(features: Any, kernel: Any, strides: Pair, padding: str, dilation: int = 1) -> Any:
    """Convolves maps as `tf.nn.conv2d` does, but with a gradient on every processor and for any number of threads.

    Args:
        features: Tensor (batch, height, width, channels) of known sides.
        kernel: Tensor (kernel height, kernel width, channels, filters).
        strides: Steps in height and width.
        padding: `"SAME"` or `"VALID"`.
        dilation: Distance of the kernel's taps. With a stride above 1 it is 1, or equal to both strides with `"SAME"`.

    Returns:
        Tensor (batch, output height, output width, filters).
    """
    if dilation > 1 and strides == (dilation, dilation):
        # TensorFlow has no convolution with stride and dilation. Taps as far apart as the stride lie on the grid of the
        # positions that are read.
        return tf.nn.conv2d(features[:, ::dilation, ::dilation], kernel, 1, padding)
    if dilation > 1:
        return dilated_conv2d(features, kernel, (dilation, dilation), padding)
    if max(strides) > 1 and tuple(kernel.shape[:2]) == (1, 1):
        return _every_nth(tf.convert_to_tensor(features), tf.convert_to_tensor(kernel), strides)
    return tf.nn.conv2d(features, kernel, strides, padding)


def dilated_conv2d(features: Any, kernel: Any, dilations: Sequence[int], padding: str) -> Any:
    """Convolves maps with a dilated kernel, as `tf.nn.conv2d` with `dilations` and no stride does.

    TensorFlow has the gradient of that only with oneDNN. Here each grid of pixels with the distance `dilations` is
    convolved separately, without dilation; the converter turns this into one dilated convolution again.

    Args:
        features: Tensor (batch, height, width, channels) of known sides.
        kernel: Tensor (kernel height, kernel width, channels, filters).
        dilations: Distance of the taps in pixels, (height, width).
        padding: `"SAME"` or `"VALID"`.

    Returns:
        Tensor (batch, height, width, filters), smaller by the reach of the kernel with `"VALID"`.
    """
    paddings, crops = [], []
    for side, taps, distance in zip(features.shape[1:3], kernel.shape[:2], dilations, strict=True):
        reach = (taps - 1) * distance if padding == "SAME" else 0
        fill = -(side + reach) % distance
        paddings.append((reach // 2, reach - reach // 2 + fill))
        crops.append((0, fill))
    grids = tf.nn.conv2d(tf.space_to_batch(features, dilations, paddings), kernel, 1, "VALID")
    return tf.batch_to_space(grids, dilations, crops)


def _every_nth(features: Any, kernel: Any, strides: Pair) -> Any:
    """Convolves every `strides`-th pixel with a 1x1 kernel.

    With one thread and without AVX-512, oneDNN writes beyond its buffer in the gradient of such a kernel
    (jit_avx2_1x1_convolution_bwd_weights_t in TensorFlow 2.21). So the gradient is that of a convolution of the pixels
    that are read. The result is one operation, which the converter knows.
    """

    @tf.custom_gradient
    def convolve(features: Any, kernel: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([features, kernel])
                made = tf.nn.conv2d(features[:, :: strides[0], :: strides[1]], kernel, 1, "VALID")
            return tape.gradient(made, [features, kernel], upstream)

        return tf.nn.conv2d(features, kernel, strides, "VALID"), gradient

    return convolve(features, kernel)


def differentiable(layer: keras.layers.Conv2D, dilation: int = 1) -> keras.layers.Conv2D:
    """Returns the layer; it now computes by `conv2d`.

    Args:
        layer: Layer.
        dilation: Distance of the taps of a layer with strides, which Keras does not take; otherwise that of the layer.
    """
    layer.convolution_op = functools.partial(
        conv2d,
        strides=layer.strides,
        padding=layer.padding.upper(),
        dilation=max(dilation, *layer.dilation_rate),
    )
    return layer
