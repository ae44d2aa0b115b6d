"""Products of the Hessian of the mean loss with vectors, by differentiating twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kgrow._keras import tf
from kgrow.bayes.curvature import Batch, Model
from kgrow.bayes.likelihood import Likelihood


class Gradient:
    """The gradient of a batch's loss, which can be differentiated again and again.

    Args:
        model: Model to examine; it is not changed.
        likelihood: Loss.
        batch: Inputs and targets.
        num_examples: Number of examples in all batches; the loss is the sum over this batch divided by it.
    """

    def __init__(self, model: Model, likelihood: Likelihood, batch: Batch, num_examples: int):
        self._parameters = list(model.parameters)
        inputs, targets = batch
        with tf.GradientTape(persistent=True) as self._tape:
            with tf.GradientTape() as inner:
                loss = tf.reduce_sum(likelihood.loss(model.run(inputs).outputs, targets)) / num_examples
            self._values = inner.gradient(loss, self._parameters, unconnected_gradients="zero")

    def hessian_product(self, vectors: Sequence[Any]) -> list[Any]:
        """Returns the Hessian times a vector with one part per parameter, one tensor per parameter."""
        return self._tape.gradient(
            self._values, self._parameters, output_gradients=list(vectors), unconnected_gradients="zero"
        )


def gradients(model: Model, likelihood: Likelihood, batches: Sequence[Batch]) -> Iterator[Gradient]:
    """Yields the gradient of every batch; their sum is the gradient of the mean loss."""
    num_examples = sum(len(inputs) for inputs, _ in batches)
    for batch in batches:
        yield Gradient(model, likelihood, batch, num_examples)
