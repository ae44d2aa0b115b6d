"""`Curvature`: the second derivative of the loss in every parameter."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from kgrow._keras import tf
from kgrow.bayes.likelihood import Likelihood, Outputs

# Inputs and targets, each with the examples along its first axis.
Batch = tuple[Any, Any]


class Probe(NamedTuple):
    """A tensor of a forward pass whose gradient gives the gradients of single examples in a parameter.

    Attributes:
        tensor: Tensor on the tape, with the examples along its first axis.
        squares: Function that maps the gradient of the summed loss in `tensor` to the sum over examples of their
            squared gradients in the parameter, of the parameter's shape.
    """

    tensor: Any
    squares: Callable[[Any], Any]


class ForwardPass(NamedTuple):
    """The result of a model for a batch: one output per head, and one probe per parameter."""

    outputs: Outputs
    probes: Sequence[Probe]


class Model(Protocol):
    """A model with parameters and a differentiable forward pass, with batch normalization in inference mode."""

    @property
    def parameters(self) -> Sequence[Any]:
        """The variables whose curvature is estimated."""

    def run(self, inputs: Any) -> ForwardPass:
        """Returns outputs, and probes in the order of `parameters`."""


class Curvature(abc.ABC):
    """An estimator of the diagonal of the Hessian of the mean loss."""

    @abc.abstractmethod
    def diagonal(self, model: Model, likelihood: Likelihood, batches: Sequence[Batch]) -> list[np.ndarray]:
        """Estimates the second derivative of the mean loss per example in every parameter.

        Args:
            model: Model to examine; it is not changed.
            likelihood: Loss.
            batches: Inputs and targets of each batch; all examples have the same weight.

        Returns:
            One float64 array per parameter, of its shape, in nats per squared unit of the parameter. Estimates of the
            Hessian itself can be negative; see `prior.floored`.
        """


def tiled_probe(copies: Any, parameter: Any) -> Probe:
    """Returns the probe of a parameter that was copied for every example before its use.

    The copies (batch, 1, ..., channels) cost one value per example and channel. The gradient in a copy is that of one
    example, however often the copy is used, and no feature map has to be kept for it.
    """
    return Probe(copies, lambda gradient: tf.reshape(tf.reduce_sum(tf.square(gradient), axis=0), parameter.shape))
