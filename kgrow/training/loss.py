"""The joint loss over internal classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.graph import Architecture

# Temperature of the last head as a teacher: its lower-ranked classes count, without dominating the first one.
TEMPERATURE = 2.0


def exit_weights(
    architecture: Architecture, epoch: int, epochs: int, largest: Sequence[float] | None = None
) -> np.ndarray:
    r"""Returns the loss weight of each head at an epoch; the newest head always has weight 1.

    :math:`\tau_i(e) = \min(\tau_i^{max},\, 0.01 + e\,\tau_i^{max} / E)`.

    Args:
        architecture: Architecture as grown so far.
        epoch: Number of the epoch, from 1.
        epochs: Number of epochs of the run.
        largest: Final weight of every head except the last; None for its relative depth: the convolutions before it
            over all weight layers.

    Returns:
        Loss weights, float32 (heads,).

    References:
        Kaya, Hong and Dumitras, ICML 2019, section 4.2 and the authors' released code.
    """
    heads = len(architecture.blocks)
    if largest is None:
        largest = relative_depths(architecture)
    if len(largest) < heads - 1:
        raise ValueError(f"`largest` must hold a weight for each of the first {heads - 1} heads, but got {largest}.")
    ramped = [min(value, 0.01 + epoch * value / epochs) for value in largest[: heads - 1]]
    return np.array([*ramped, 1.0], np.float32)


def relative_depths(architecture: Architecture) -> list[float]:
    """Returns for each head the weight layers before it, over those up to and including the last head's Dense layer."""
    depths: dict[str, int] = {}
    kernels = {kernel.name for kernel in architecture.kernels()}
    for node in architecture.nodes:
        depths[node.name] = max(depths.get(name, 0) for name in node.inputs) + (node.name in kernels)
    heads = [depths[architecture.logits(head)] for head in range(len(architecture.blocks))]
    return [(depth - 1) / heads[-1] for depth in heads]


def joint_loss(
    logits: Sequence[Any],
    labels: Any,
    weights: Any,
    label_smoothing: float,
    distillation: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> Any:
    r"""Returns the weighted sum over heads of the mean cross-entropy, in nats per example.

    With distillation the internal classifiers also learn from the last head, which learns from the labels alone. A
    fraction `d` of the loss of head `i` is :math:`T^2 H(p_{top}, p_i)` instead of :math:`H(y, p_i)`, both softmax at
    temperature :math:`T = 2`; the last head is treated as constant.

    Args:
        logits: Logits, one (batch, num_classes) tensor per head.
        labels: Labels, int32 (batch,).
        weights: Loss weights of the heads, float32 (heads,).
        label_smoothing: Label smoothing, in [0, 1).
        distillation: Fraction `d`, in [0, 1].
        class_weights: Loss factor of each example, by its class; None for 1.

    References:
        Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015,
        https://arxiv.org/abs/1503.02531, section 2. Phuong and Lampert, "Distillation-Based Training for Multi-Exit
        Architectures", ICCV 2019, section 3.
    """
    num_classes = logits[0].shape[-1]
    targets = tf.one_hot(labels, num_classes) * (1.0 - label_smoothing) + label_smoothing / num_classes
    factors = None if class_weights is None else tf.gather(tf.constant(class_weights, tf.float32), labels)
    losses = [_mean(tf.nn.softmax_cross_entropy_with_logits(targets, head), factors) for head in logits]
    if distillation:
        losses[:-1] = [
            (1 - distillation) * loss + distillation * _distance(logits[-1], head, factors)
            for loss, head in zip(losses, logits[:-1], strict=False)
        ]
    return tf.add_n([weights[index] * loss for index, loss in enumerate(losses)])


def _mean(losses: Any, factors: Any) -> Any:
    return tf.reduce_mean(losses if factors is None else factors * losses)


def _distance(teacher: Any, head: Any, factors: Any) -> Any:
    soft = tf.stop_gradient(tf.nn.softmax(teacher / TEMPERATURE))
    return TEMPERATURE**2 * _mean(tf.nn.softmax_cross_entropy_with_logits(soft, head / TEMPERATURE), factors)
