"""A test whether gradients are more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.bayes.outer_products import mean_squares
from kgrow.network import GrowingNetwork
from kgrow.pruning.bayes_models import KernelModel
from kgrow.pruning.criterion import Batch
from kgrow.pruning.gradients import mean_gradients
from kgrow.training.loss import joint_loss

# Added to the variances as a fraction of their mean. The published constant is absolute, which makes the outcome depend
# on the scale of the loss.
EPSILON = 1e-5


def noise_statistic(means: np.ndarray, variances: np.ndarray, num_examples: int) -> float:
    r"""Returns :math:`1 - \frac{B}{D} \sum_k \frac{g_k^2}{\hat\Sigma_k + \epsilon}`: above 0 if all may be noise.

    If the expected gradient is zero, :math:`g_k \sim N(0, \Sigma_k / B)`, and the mean of the statistic is
    :math:`-2 / (B - 3)`. Plain gradient descent may stop at a step with a positive statistic.

    Args:
        means: Gradient of the mean loss in D parameters; parameters without any gradient are left out.
        variances: Unbiased variance of the gradients of single examples.
        num_examples: Number of examples B.

    Returns:
        A number of at most 1; 1 if no parameter has a gradient.

    References:
        Mahsereci, Balles, Lassner and Hennig, "Early Stopping without a Validation Set", 2017,
        https://arxiv.org/abs/1703.09580.
    """
    moves = (variances > 0) | (means != 0)
    if not moves.any():
        return 1.0
    means, variances = means[moves], variances[moves]
    return float(1.0 - num_examples * np.mean(means**2 / (variances + EPSILON * variances.mean())))


def gradient_moments(
    network: GrowingNetwork,
    batches: Sequence[Batch],
    head_weights: np.ndarray,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns mean and unbiased variance of the gradients of single examples in every kernel.

    Batch normalization is in inference mode: in training mode the examples of a batch are not independent.

    Args:
        network: Network to examine; it is not changed.
        batches: Raw images and labels, with at least two examples in total.
        head_weights: Loss weight of each head.
        label_smoothing: Label smoothing, in [0, 1).
        class_weights: Class weights; see `joint_loss`.

    Returns:
        Two lists of float64 arrays, of the kernels' shapes.
    """

    def loss(logits: Any, labels: Any) -> Any:
        return joint_loss(logits, labels, head_weights, label_smoothing, class_weights=class_weights)

    def gradient(outputs: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            summed = loss(outputs, labels) * len(labels)
        yield tape.gradient(summed, outputs)

    model = KernelModel(network)
    means = mean_gradients(network, model.parameters, batches, loss)
    squares = mean_squares(model, batches, gradient)
    count = sum(len(labels) for _, labels in batches)
    return means, [
        np.maximum(square - mean**2, 0.0) * (count / (count - 1)) for mean, square in zip(means, squares, strict=True)
    ]
