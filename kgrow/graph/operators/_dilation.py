"""Dilated convolutions with a gradient on every processor."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from kgrow.graph.operators._tensorflow import keras, tf


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


def differentiable(layer: keras.layers.Conv2D) -> keras.layers.Conv2D:
    """Returns the layer; if it is dilated, it now computes by `dilated_conv2d`."""
    if max(layer.dilation_rate) > 1:
        layer.convolution_op = functools.partial(
            dilated_conv2d, dilations=layer.dilation_rate, padding=layer.padding.upper()
        )
    return layer
