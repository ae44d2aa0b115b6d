"""The inputs for scoring connections and channels in a training."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgrow.graph import Architecture
from kgrow.lifecycle.image_size import fitted
from kgrow.lifecycle.settings import Settings
from kgrow.pruning.batches import saliency_batches
from kgrow.structure import Scoring
from kgrow.task import Task
from kgrow.training import joint_loss


def scoring(
    task: Task, settings: Settings, epoch: int, architecture: Architecture, head_weights: np.ndarray
) -> Scoring:
    """Returns the inputs of a network's criteria before an epoch.

    Args:
        task: Data of the training.
        settings: Settings of the training.
        epoch: Number of the epoch, from 0.
        architecture: Architecture of the network.
        head_weights: Loss weight of each head, float32 (heads,).
    """
    preset, channels = settings.preset, settings.channels

    def loss(logits: Any, labels: Any) -> Any:
        return joint_loss(logits, labels, head_weights, preset.label_smoothing, class_weights=settings.class_weights)

    batches = saliency_batches(task.train, preset.saliency_examples, (settings.seed, epoch, 1))
    return Scoring(
        settings.criterion,
        [(fitted(images, architecture), labels) for images, labels in batches],
        loss,
        settings.scope,
        channels.criterion if channels else None,
        channels.multiple_of if channels else 1,
    )
