"""The network as a device computes it: batch normalisation folded into the kernels, one function per tensor."""

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
    """Returns a tensor as it is."""
    return tensor


class FoldedNetwork:
    r"""A network in inference, written as the steps of a device in order; see `kgrow.graph.device`.

    A kernel and the normalisation after it become one kernel with :math:`W' = W \gamma / s` and
    :math:`b' = \beta - \mu \gamma / s`, where :math:`s = \sqrt{\sigma^2 + \epsilon}`; the division by the pixels'
    standard deviation goes into the first kernels. Only the subtraction of the pixels' mean stays an operation, because
    zero padding comes after it.

    Args:
        network: Its masked weights are zero here; it is left alone.
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
            observe: Sees each tensor that a device would store, by name, and returns what is read in its place.
            kernel_of: The same for each kernel.
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
