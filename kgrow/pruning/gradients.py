"""Gradients of the loss over several batches, as criteria need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.pruning.criterion import Batch, Loss, Prunable


def mean_gradients(
    network: Prunable, variables: Sequence[Any], batches: Sequence[Batch], loss: Loss
) -> list[np.ndarray]:
    """Returns the gradient of the mean loss over all examples, with batch normalization in inference mode.

    Args:
        network: Network to examine; it is not changed.
        variables: Variables of the network.
        batches: Training batches; see `Criterion.saliency`.
        loss: Training loss; see `Criterion.saliency`.

    Returns:
        One float64 array per variable, of its shape, in nats per example and unit of the variable.
    """
    totals = [np.zeros(variable.shape) for variable in variables]
    num_examples = sum(len(labels) for _, labels in batches)
    for images, labels in batches:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            mean_loss = loss(network(images, training=False), labels)
        gradients = tape.gradient(mean_loss, variables, unconnected_gradients="zero")
        for total, gradient in zip(totals, gradients, strict=True):
            total += gradient.numpy() * (len(labels) / num_examples)
    return totals
