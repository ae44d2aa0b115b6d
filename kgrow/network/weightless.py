"""What operations compute that have no weights, and what a dilated convolution reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgrow._keras import tf
from kgrow.architecture import Operation


def weightless(op: Operation, inputs: Sequence[Any]) -> Any:
    """Returns the output of an operation of the kind `"add"`, `"concat"`, `"relu"`, `"max"` or `"average"`.

    Args:
        op: The operation.
        inputs: What it reads, each (batch, height, width, channels).
    """
    if op.kind == "add":
        return tf.add_n(list(inputs))
    if op.kind == "concat":
        return tf.concat(inputs, axis=-1)
    if op.kind == "relu":
        return tf.nn.relu(inputs[0])
    pool = {"max": tf.nn.max_pool2d, "average": tf.nn.avg_pool2d}[op.kind]
    return pool(inputs[0], op.window, op.strides, "SAME")


def on_grid(op: Operation) -> bool:
    """Whether a convolution reads every second position alone, and is one without stride and dilation there.

    TensorFlow has none with both. Taps two apart around every second position lie on the grid of these.
    """
    return op.dilation > 1 and op.strides == (op.dilation, op.dilation)


def grid(op: Operation, features: Any) -> Any:
    """Returns the positions that such a convolution reads, (batch, ceil(height / 2), ceil(width / 2), channels)."""
    return tf.nn.max_pool2d(features, 1, op.dilation, "SAME")
