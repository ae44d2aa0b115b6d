"""The network as a device computes it: batch normalization is folded into the kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.graph import IMAGE
from kgrow.graph.device import answers_of, device_steps
from kgrow.network import GrowingNetwork

Observe = Callable[[str, Any], Any]
SCALED = "scaled"


def unobserved(name: str, tensor: Any) -> Any:
    """Returns a tensor unchanged."""
    return tensor


class FoldedNetwork:
    r"""A network in inference, as the ordered steps of a device; see `kgrow.graph.device`.

    A kernel and the normalization after it become one kernel with :math:`W' = W \gamma / s` and
    :math:`b' = \beta - \mu \gamma / s`, where :math:`s = \sqrt{\sigma^2 + \epsilon}`; the division by the pixels'
    standard deviation goes into the first kernels. Only the subtraction of the pixels' mean stays an operation, because
    zero padding comes after it.

    Args:
        network: Network to fold; its masked weights are zero here. It is not changed.
    """

    def __init__(self, network: GrowingNetwork):
        self.architecture = network.architecture
        state = network.state()
        self.steps = device_steps(self.architecture, state)
        self.answers = answers_of(self.architecture)
        self.variables = {
            f"{step.name}/{kind}": tf.Variable(value.astype(np.float32), name=f"{step.name}/{kind}".replace("/", "_"))
            for step in self.steps
            for kind, value in step.weights.items()
        }
        self.masks = {
            step.name: state[f"{step.name}/mask"].reshape(step.weights["kernel"].shape)
            for step in self.steps
            if "kernel" in step.weights
        }

    def heads(
        self,
        images: Any,
        observe: Observe = unobserved,
        kernel_of: Observe = unobserved,
    ) -> list[Any]:
        """Maps raw pixels, float32 (batch, height, width, channels), to logits (batch, num_classes), one per head.

        Args:
            images: Raw pixels.
            observe: Function that gets each tensor that a device would store, by name, and returns its replacement.
            kernel_of: Function of the same kind for each kernel.
        """
        values = {IMAGE: observe(IMAGE, images)}
        if any(self.architecture.scaling.mean):
            values[IMAGE] = observe(SCALED, values[IMAGE] - tf.constant(self.architecture.scaling.mean))
        for step in self.steps:
            weights = {kind: self.variables[f"{step.name}/{kind}"] for kind in step.weights}
            if "kernel" in weights:
                weights["kernel"] = kernel_of(step.name, weights["kernel"])
            made = step.compute([values[name] for name in step.inputs], weights)
            values[step.name] = observe(step.name, made) if step.has_own_range else made
        return [values[name] for name in self.answers.values()]
