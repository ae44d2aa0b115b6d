"""Squares of single examples' gradients, for every estimator that is a sum of outer products."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.bayes.curvature import Batch, Model
from kgrow.bayes.likelihood import Outputs

Vectors = Callable[[Outputs, Any], Iterable[Outputs]]


def mean_squares(model: Model, batches: Sequence[Batch], vectors: Vectors) -> list[np.ndarray]:
    r"""Returns :math:`\frac{1}{N} \sum_n \sum_v (J_n^\top v_n)^2`, J_n being the Jacobian of example n's outputs.

    Each vector costs one backward pass. A batch keeps only the tensors that its backward pass needs.

    Args:
        model: Model to examine; it is not changed.
        batches: Inputs and targets.
        vectors: Function that maps outputs and targets of a batch to vectors v, shaped as the outputs.

    Returns:
        One float64 array per parameter, of its shape.
    """
    totals = [np.zeros(parameter.shape) for parameter in model.parameters]
    for inputs, targets in batches:
        with tf.GradientTape(persistent=True) as tape:
            outputs, probes = model.run(inputs)
        tensors = [probe.tensor for probe in probes]
        for vector in vectors(outputs, targets):
            gradients = tape.gradient(
                list(outputs), tensors, output_gradients=list(vector), unconnected_gradients="zero"
            )
            for total, probe, gradient in zip(totals, probes, gradients, strict=True):
                total += probe.squares(gradient).numpy()
        del tape  # it keeps the activations of the batch
    num_examples = sum(len(inputs) for inputs, _ in batches)
    return [total / num_examples for total in totals]
