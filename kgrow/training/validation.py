"""The accuracy and the loss of each head's logits."""

from __future__ import annotations

import numpy as np


def accuracy_per_head(logits: np.ndarray, labels: np.ndarray) -> list[float]:
    """Returns each head's accuracy in [0, 1].

    Args:
        logits: Logits, (heads, num_examples, num_classes).
        labels: Labels, (num_examples,).
    """
    return [float(np.mean(head.argmax(axis=-1) == labels)) for head in logits]


def loss_per_head(logits: np.ndarray, labels: np.ndarray) -> list[float]:
    """Returns each head's mean cross-entropy in nats.

    Args:
        logits: Logits, (heads, num_examples, num_classes), finite.
        labels: Labels, (num_examples,).
    """
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)
    right = np.take_along_axis(shifted, np.asarray(labels, np.int64)[np.newaxis, :, np.newaxis], axis=-1)[..., 0]
    return [float(loss) for loss in np.mean(np.log(np.sum(np.exp(shifted), axis=-1)) - right, axis=-1)]
