"""The network as a device computes it: batch normalisation folded into the convolutions, one function per tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.architecture import Architecture
from kgrow.architecture.operations import IMAGE, Operation, head_grid, pool_sizes
from kgrow.network import GrowingNetwork
from kgrow.network.conv_norm import BATCH_NORM

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
        self.masks = {op.name: state[f"{op.name}/mask"] for op in self.architecture.kernels()}
        self.variables = {
            name: tf.Variable(value, name=name.replace("/", "_")) for name, value in _folded(self.architecture, state)
        }
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
            values[op.name] = self._run(op, values, observe, kernel_of)
            if op.name.endswith("/head/dense"):
                logits.append(values[op.name])
        return logits

    def _run(self, op: Operation, values: Mapping[str, Any], observe: Observe, kernel_of: Observe) -> Any:
        inputs = [values[name] for name in op.inputs]
        kind = op.name.rpartition("/")[2]
        if op.kernel_shape:
            kernel = kernel_of(op.name, self.variables[f"{op.name}/kernel"])
            return observe(op.name, self._weighted(op, kind, inputs[0], kernel))
        if op.is_head:
            return self._mixed_pool(op, inputs[0], observe)
        if kind in ("sum", "add"):
            total = inputs[0] + inputs[1]
            for number, summand in enumerate(inputs[2:]):  # in pairs: there is no ADD_N for 8 bits
                total = observe(f"{op.name}/{number}", total) + summand
            return observe(op.name, tf.nn.relu(total) if kind == "sum" else total)
        if kind == "concat":
            return tf.concat(inputs, axis=-1)
        return self._pooled(op, kind, inputs[0])

    def _weighted(self, op: Operation, kind: str, features: Any, kernel: Any) -> Any:
        if kind == "dense":
            return tf.reshape(features, (-1, op.kernel_shape[0])) @ kernel + self.variables[f"{op.name}/bias"]
        stride = self._cell(op).stride if kind == "first" else 1
        out = tf.nn.conv2d(features, kernel, stride, "SAME")
        if op.norm_channels:
            out = tf.nn.bias_add(out, self.variables[f"{op.name}/bias"])
        is_last = kind == "second" and self._cell(op).shortcut == "none"
        return tf.nn.relu(out) if kind == "first" or is_last else out

    def _pooled(self, op: Operation, kind: str, features: Any) -> Any:
        if kind == "shortcut_pool":
            window = (self._cell(op).stride,) * 2
        else:
            number = _cell_number(op)
            position = self.architecture.cells[number].inputs.index(int(kind.removeprefix("pool_")))
            window = pool_sizes(self.architecture, number)[position]
        return tf.nn.avg_pool2d(features, window, window, "SAME")

    def _mixed_pool(self, op: Operation, features: Any, observe: Observe) -> Any:
        mixing = self.mixing[f"block_{op.block_index}/head/mixing"]
        window, _ = head_grid(features.shape[1:3], self.architecture.blocks[op.block_index].head.grid)
        largest = observe(f"{op.name}/max", mixing * tf.nn.max_pool2d(features, window, window, "VALID"))
        average = observe(f"{op.name}/average", (1 - mixing) * tf.nn.avg_pool2d(features, window, window, "VALID"))
        return observe(op.name, largest + average)

    def _cell(self, op: Operation) -> Any:
        return self.architecture.cells[_cell_number(op)]


def _cell_number(op: Operation) -> int:
    return int(op.name.split("/")[1].removeprefix("cell_"))


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
        folded.append((f"{op.name}/kernel", kernel.astype(np.float32)))
        if bias is not None:
            folded.append((f"{op.name}/bias", bias.astype(np.float32)))
    return folded
