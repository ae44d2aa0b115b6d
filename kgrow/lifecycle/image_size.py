"""The images of a training, at the size that its network reads."""

from __future__ import annotations

import numpy as np

from kgrow.graph import Architecture
from kgrow.task import Augmentation
from kgrow.task.pixels import resize


def fitted(images: np.ndarray, architecture: Architecture) -> np.ndarray:
    """Returns images of the size that a network reads."""
    size = architecture.input_shape[:2]
    return images if images.shape[1:3] == size else resize(images, size)


def fitted_augmentation(augmentation: Augmentation, side: int, architecture: Architecture) -> Augmentation:
    """Returns the augmentation of a network's images: shifts and squares are smaller in smaller ones.

    Args:
        augmentation: Augmentation of the images at their own size.
        side: Smaller side of these images, in pixels.
        architecture: Architecture of the network.
    """
    fraction = min(architecture.input_shape[:2]) / side
    return augmentation if fraction == 1 else augmentation.at_scale(fraction)
