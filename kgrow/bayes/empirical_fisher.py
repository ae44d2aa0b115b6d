"""Empirical Fisher: the mean square of the gradient for the true labels."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.bayes.curvature import Batch, Curvature, Model
from kgrow.bayes.likelihood import Likelihood, Outputs
from kgrow.bayes.outer_products import mean_squares


@dataclasses.dataclass(frozen=True)
class EmpiricalFisher(Curvature):
    """Mean square of the gradient for the true labels; costs one backward pass.

    It falls to zero with the training loss while the curvature does not. Its size has no meaning: use it for rankings
    only.
    """

    def diagonal(self, model: Model, likelihood: Likelihood, batches: Sequence[Batch]) -> list[np.ndarray]:
        """See `Curvature.diagonal`."""

        def gradient(outputs: Outputs, targets: Any) -> Iterator[Outputs]:
            with tf.GradientTape() as tape:
                tape.watch(outputs)
                loss = tf.reduce_sum(likelihood.loss(outputs, targets))
            yield tape.gradient(loss, outputs)

        return mean_squares(model, batches, gradient)
