"""`Likelihood`: the loss of a network's outputs, with its curvature in the outputs."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf

# One tensor (batch, outputs) per head.
Outputs = Sequence[Any]


class Likelihood(abc.ABC):
    """A loss per example, in nats, and its Hessian in the outputs of all heads."""

    @abc.abstractmethod
    def loss(self, outputs: Outputs, targets: Any) -> Any:
        """Returns the loss of every example, (batch,)."""

    @abc.abstractmethod
    def factors(self, outputs: Outputs) -> Iterator[Outputs]:
        """Yields vectors v, shaped as the outputs, such that the sum of v v' is the Hessian of every example."""

    @abc.abstractmethod
    def draw(self, outputs: Outputs, generator: np.random.Generator) -> Outputs:
        """Draws a vector v, shaped as the outputs, such that the mean of v v' is the Hessian of every example."""

    @abc.abstractmethod
    def diagonal(self, outputs: Outputs) -> Outputs:
        """Returns the diagonal of the Hessian, shaped as the outputs."""


@dataclasses.dataclass(frozen=True)
class CrossEntropy(Likelihood):
    r"""Softmax cross-entropy, summed over heads: :math:`\sum_k \tau_k \, (-\log p_{k, y})`.

    The Hessian of a head is :math:`\tau (\mathrm{diag}\, p - p p^\top)` for any label; label smoothing does not change
    it. It is the covariance of :math:`\sqrt \tau (p - e_y)` for labels y drawn from p. Labels are drawn for each head
    separately, so that heads do not mix in the mean.

    Args:
        head_weights: Weight of each head in the loss.
    """

    head_weights: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not all(weight >= 0 for weight in self.head_weights):
            raise ValueError(f"`head_weights` must not be negative, but got {self.head_weights}.")

    def loss(self, outputs: Outputs, targets: Any) -> Any:
        """See `Likelihood.loss`; targets are labels (batch,)."""
        losses = [tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits) for logits in outputs]
        return tf.add_n([weight * loss for weight, loss in zip(self.head_weights, losses, strict=True)])

    def factors(self, outputs: Outputs) -> Iterator[Outputs]:
        """See `Likelihood.factors`: sqrt(tau p_c) (p - e_c) for every class c of every head."""
        for index, (weight, logits) in enumerate(zip(self.head_weights, outputs, strict=True)):
            probabilities = tf.nn.softmax(logits)
            for unit in tf.eye(logits.shape[-1], dtype=logits.dtype):
                share = tf.reduce_sum(unit * probabilities, axis=-1, keepdims=True)
                vectors = [tf.zeros_like(other) for other in outputs]
                vectors[index] = tf.sqrt(weight * share) * (probabilities - unit)
                yield vectors

    def draw(self, outputs: Outputs, generator: np.random.Generator) -> Outputs:
        """See `Likelihood.draw`."""
        vectors = []
        for weight, logits in zip(self.head_weights, outputs, strict=True):
            probabilities = tf.nn.softmax(logits).numpy()
            bounds = np.cumsum(probabilities, axis=-1)[:, :-1]
            labels = np.sum(generator.random((len(bounds), 1)) > bounds, axis=-1)
            units = np.eye(probabilities.shape[-1], dtype=probabilities.dtype)[labels]
            vectors.append(tf.constant(math.sqrt(weight) * (probabilities - units), logits.dtype))
        return vectors

    def diagonal(self, outputs: Outputs) -> Outputs:
        """See `Likelihood.diagonal`: tau p (1 - p), for every class and not only the label's."""
        probabilities = [tf.nn.softmax(logits) for logits in outputs]
        return [weight * p * (1.0 - p) for weight, p in zip(self.head_weights, probabilities, strict=True)]


@dataclasses.dataclass(frozen=True)
class SquaredError(Likelihood):
    """Half the squared distance of one head to the targets; the Hessian is the identity."""

    def loss(self, outputs: Outputs, targets: Any) -> Any:
        """See `Likelihood.loss`; targets have the shape of the outputs."""
        return 0.5 * tf.reduce_sum(tf.square(outputs[0] - targets), axis=-1)

    def factors(self, outputs: Outputs) -> Iterator[Outputs]:
        """See `Likelihood.factors`."""
        for unit in tf.eye(outputs[0].shape[-1], dtype=outputs[0].dtype):
            yield [tf.broadcast_to(unit, outputs[0].shape)]

    def draw(self, outputs: Outputs, generator: np.random.Generator) -> Outputs:
        """See `Likelihood.draw`: the noise of a normal distribution of variance 1."""
        return [tf.constant(generator.standard_normal(outputs[0].shape), outputs[0].dtype)]

    def diagonal(self, outputs: Outputs) -> Outputs:
        """See `Likelihood.diagonal`."""
        return [tf.ones_like(outputs[0])]
