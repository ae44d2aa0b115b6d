"""The network as a device computes it: batch normalisation folded into the convolutions, one function per tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.architecture import Architecture, Operation
from kgrow.architecture.operation import IMAGE
from kgrow.network import GrowingNetwork
from kgrow.network.conv_norm import BATCH_NORM
from kgrow.network.dilation import dilated_conv2d
from kgrow.network.weightless import grid, on_grid, weightless

Observe = Callable[[str, Any], Any]


def unobserved(name: str, tensor: Any) -> Any:
    """Returns a tensor as it is."""
    return tensor


class FoldedNetwork:
    r"""A network in inference, written as its operations in order.

    A convolution and the normalisation after it become one convolution with :math:`W' = W \gamma / s` and
    :math:`b' = \beta - \mu \gamma / s`, where :math:`s = \sqrt{\sigma^2 + \epsilon}`; the division by the pixels'
    standard deviation goes into the stem's kernel. Only the subtraction of the pixels' mean stays an operation, because
    zero padding comes after it.

    Args:
        network: Its masked weights are zero here; it is left alone.
    """

    def __init__(self, network: GrowingNetwork):
        self.architecture = network.architecture
        state = network.state()
        self.masks = {op.name: _own_axes(op, state[f"{op.name}/mask"]) for op in self.architecture.kernels()}
        self.variables = {
            name: tf.Variable(value, name=name.replace("/", "_")) for name, value in _folded(self.architecture, state)
        }
        self._stored = _stored(self.architecture)
        self.mixing = {name: float(value) for name, value in state.items() if name.endswith("/mixing")}

    def heads(
        self,
        images: Any,
        observe: Observe = unobserved,
        kernel_of: Observe = unobserved,
    ) -> list[Any]:
        """Maps raw pixels, float32 (batch, height, width, channels), to logits (batch, num_classes), one per head.

        Args:
            images: Raw pixels.
            observe: Sees each tensor that a device would store, by name, and returns what is read in its place.
            kernel_of: The same for each kernel.
        """
        values = {IMAGE: observe("scaled", observe(IMAGE, images) - tf.constant(self.architecture.scaling.mean))}
        logits = []
        for op in self.architecture.operations:
            inputs = [values[name] for name in op.inputs]
            made = self._run(op, inputs, observe, kernel_of)
            values[op.name] = observe(op.name, made) if op.name in self._stored else made
            if op.kind == "dense":
                logits.append(values[op.name])
        return logits

    def _run(self, op: Operation, inputs: Sequence[Any], observe: Observe, kernel_of: Observe) -> Any:
        if op.kernel_shape:
            return self._weighted(op, inputs[0], kernel_of(op.name, self.variables[f"{op.name}/kernel"]))
        if op.kind == "mixed":
            return self._mixed_pool(op, inputs[0], observe)
        if op.kind == "add":
            total = inputs[0] + inputs[1]
            for number, summand in enumerate(inputs[2:]):  # in pairs: there is no ADD_N for 8 bits
                total = observe(f"{op.name}/{number}", total) + summand
            return tf.nn.relu(total) if op.relu else total
        return weightless(op, inputs)

    def _weighted(self, op: Operation, features: Any, kernel: Any) -> Any:
        if op.kind == "dense":
            return tf.reshape(features, (-1, op.kernel_shape[0])) @ kernel + self.variables[f"{op.name}/bias"]
        if op.kind == "depthwise":
            # Of other ways to add the last axis the converter loses track of the channels' ranges.
            return tf.nn.depthwise_conv2d(features, tf.reshape(kernel, op.kernel_shape), (1, *op.strides, 1), "SAME")
        if op.dilation > 1 and not on_grid(op):
            out = dilated_conv2d(features, kernel, (op.dilation, op.dilation), "SAME")
        else:
            features, strides = (grid(op, features), (1, 1)) if on_grid(op) else (features, op.strides)
            out = tf.nn.conv2d(features, kernel, strides, "SAME")
        if op.norm_channels:
            out = tf.nn.bias_add(out, self.variables[f"{op.name}/bias"])
        return tf.nn.relu(out) if op.relu else out

    def _mixed_pool(self, op: Operation, features: Any, observe: Observe) -> Any:
        mixing, window = self.mixing[f"block_{op.block_index}/head/mixing"], op.window
        largest = observe(f"{op.name}/max", mixing * tf.nn.max_pool2d(features, window, window, "VALID"))
        average = observe(f"{op.name}/average", (1 - mixing) * tf.nn.avg_pool2d(features, window, window, "VALID"))
        return largest + average


def _stored(architecture: Architecture) -> set[str]:
    """Returns the operations whose output is stored with a range of its own.

    Pools and concatenations keep that of what they read; what ReLU alone reads becomes one operation with it.
    """
    passing = {op.name for op in architecture.operations if op.kind in ("max", "average", "concat")}
    read_otherwise = {name for op in architecture.operations if op.kind != "relu" for name in op.inputs}
    read_by_relu = {name for op in architecture.operations if op.kind == "relu" for name in op.inputs}
    return {op.name for op in architecture.operations} - passing - (read_by_relu - read_otherwise)


def _own_axes(op: Operation, kernel: np.ndarray) -> np.ndarray:
    """Returns a kernel whose last axis is that of its output channels: a depthwise one without its last, of size 1."""
    return kernel[..., 0] if op.kind == "depthwise" else kernel


def _folded(architecture: Architecture, state: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    folded = []
    for op in architecture.kernels():
        kernel = state[f"{op.name}/kernel"].astype(np.float64) * state[f"{op.name}/mask"]
        bias = state.get(f"{op.name}/bias")
        if op.norm_channels:
            gamma, beta, mean, variance = (
                state[f"{op.name}/{kind}"].astype(np.float64)
                for kind in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            scale = gamma / np.sqrt(variance + BATCH_NORM["epsilon"])
            kernel, bias = kernel * scale, beta - mean * scale
        if op.inputs == (IMAGE,):
            kernel = kernel / np.asarray(architecture.scaling.std)[:, np.newaxis]
        folded.append((f"{op.name}/kernel", _own_axes(op, kernel).astype(np.float32)))
        if bias is not None:
            folded.append((f"{op.name}/bias", bias.astype(np.float32)))
    return folded
