"""Prices of connections: what the loss would gain or lose, in nats per example, if one went or came back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.pruning.criterion import Batch, Loss


def removal_price(gradient: np.ndarray, curvature: np.ndarray, weight: np.ndarray) -> np.ndarray:
    r"""Returns :math:`|g w| + \frac{1}{2} F w^2`, the most that the removal of each weight may cost.

    For a loss with a diagonal Hessian F this bounds the change of the loss, and equals it where the gradient is zero.

    Args:
        gradient: Mean gradient g.
        curvature: Diagonal curvature F, not negative.
        weight: Weights w.
    """
    return np.abs(gradient * weight) + 0.5 * curvature * weight**2


def revival_gain(gradient: np.ndarray, curvature: np.ndarray, damping: float, num_examples: float) -> np.ndarray:
    r"""Returns :math:`\frac{1}{2} (g^2 - v / N)_+ / (F + \mu)`, the gain of a damped Newton step from zero.

    The square of a mean over N examples is expected to exceed that of the true gradient by the variance
    :math:`v = F - g^2` of a single one's over N. Of thousands of connections that would promise nats by chance.

    Args:
        gradient: Mean gradient g, at a weight of zero.
        curvature: Diagonal F of the empirical Fisher matrix, or another curvature of at least g squared.
        damping: Damping mu; where it and the curvature are zero, the gain is.
        num_examples: Number N of examples of the mean; infinity for an exact gradient.
    """
    signal = np.maximum(0.0, gradient**2 - np.maximum(curvature - gradient**2, 0.0) / num_examples)
    bottom = curvature + damping
    return np.divide(0.5 * signal, bottom, out=np.zeros_like(signal), where=bottom > 0)


def joint_gain(gradients: np.ndarray, batch_size: int, damping: float) -> float:
    r"""Returns what one step in several weights together would gain, in nats per example.

    Weights that would do the same each promise the same gain; together they do it once. The direction d is that of the
    damped diagonal Newton step of half of the batches, and the other half tells how far it leads:
    :math:`\frac{1}{2} (g \cdot d)^2 / (d^T F d + \mu |d|^2)`, with the full Fisher matrix F, or nothing if the loss
    rises there. The mean of both ways is returned. What is chance in one half does not hold in the other.

    Args:
        gradients: Mean gradients of batches, (num_batches, num_weights), of at least four batches.
        batch_size: Number of examples of a batch.
        damping: Damping mu.
    """
    middle, gains = len(gradients) // 2, []
    for one, other in ((gradients[:middle], gradients[middle:]), (gradients[middle:], gradients[:middle])):
        mean, curvature = moments(one, batch_size)
        direction = np.divide(mean, curvature + damping, out=np.zeros_like(mean), where=curvature + damping > 0)
        (slope,), (bend,) = moments((other @ direction)[:, np.newaxis], batch_size)
        bottom = bend + damping * direction @ direction
        gains.append(0.5 * slope**2 / bottom if slope > 0 and bottom > 0 else 0.0)
    return float(np.mean(gains))


def moments(gradients: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Returns mean gradient and diagonal of the empirical Fisher matrix, from the gradients of whole batches.

    With K batches of m examples, the variance of a single example's gradient is estimated as
    :math:`v = m \frac{K}{K - 1} (\overline{g_k^2} - g^2)`, and :math:`F = g^2 + v`.

    Args:
        gradients: Mean gradients of batches, (num_batches, ...), of at least two batches.
        batch_size: Number of examples of a batch.
    """
    number, mean = len(gradients), gradients.mean(axis=0)
    variance = np.maximum((gradients**2).mean(axis=0) - mean**2, 0.0)
    return mean, mean**2 + batch_size * number / (number - 1) * variance


def batch_gradients(
    network: Callable[..., Any], variables: Sequence[Any], batches: Sequence[Batch], loss: Loss
) -> list[np.ndarray]:
    """Returns the gradient of each batch's mean loss, with batch normalization in inference mode.

    Args:
        network: Network to examine, or another function that maps images and `training` to logits; it is not changed.
        variables: Variables of the network.
        batches: Batches of equal size.
        loss: Training loss; see `Criterion.saliency`.

    Returns:
        A float64 array (num_batches, *shape) per variable.
    """
    found: list[list[np.ndarray]] = [[] for _ in variables]
    for images, labels in batches:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            mean_loss = loss(network(images, training=False), labels)
        for own, gradient in zip(found, tape.gradient(mean_loss, variables, unconnected_gradients="zero"), strict=True):
            own.append(gradient.numpy().astype(np.float64))
    return [np.stack(own) for own in found]
