"""A picture of a task's training images, and of how they are changed at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow._checks import check_name, check_non_negative_int, check_positive_int
from kgrow._figure import new_figure
from kgrow.registry import AUGMENTATIONS
from kgrow.task.wording import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL, TITLE = 1.1, 0.5  # inches
LONGEST_NAME = 14  # characters of a class


def preview_of(task: Any, augmentation: Any, num_images: int, num_changes: int, seed: int) -> Figure:
    """Draws training images in a row, and below each how training changes it; see `Task.preview`.

    Args:
        task: `Task` with the images.
        augmentation: Random changes, by name or as an `Augmentation`.
        num_images: Number of images, in turn from each class.
        num_changes: Number of changed copies of each.
        seed: Random seed of the choice and of the changes.
    """
    from kgrow._keras import tf

    if isinstance(augmentation, str):
        augmentation = AUGMENTATIONS[check_name(AUGMENTATIONS, augmentation, "augmentation")](task)
    rows = in_turn(task.train.labels, check_positive_int(num_images, "num_images"), seed)
    images, mean = np.asarray(task.train.images[rows]), tf.constant(task.pixel_mean, tf.float32)
    changes = [
        augmentation.augment_around(tf.constant(images, tf.float32), tf.constant([seed, number]), mean).numpy()
        for number in range(check_non_negative_int(num_changes, "num_changes"))
    ]
    figure = new_figure(CELL * len(images), CELL * (1 + len(changes)) + TITLE)
    axes = figure.subplots(1 + len(changes), len(images), squeeze=False)
    for line, batch in zip(axes, (images, *changes), strict=True):
        for place, image in zip(line, batch, strict=True):
            place.imshow(shown_pixels(image, *task.pixel_range), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            place.set_axis_off()
    for place, label in zip(axes[0], task.train.labels[rows], strict=True):
        place.set_title(printable(task.class_names[label])[:LONGEST_NAME], fontsize=8)
    if changes:
        figure.suptitle("above as given, below as training changes them", fontsize=8)
    return figure


def in_turn(labels: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Returns rows of so many images at random, one of each class after the other."""
    order = np.random.default_rng(seed).permutation(len(labels))
    ranks = np.zeros(len(labels), int)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        ranks[own] = np.arange(len(own))
    return np.lexsort((labels, ranks))[: min(number, len(labels))]


def shown_pixels(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Returns an image on a scale from 0 to 1; of other than one or three channels their mean."""
    scaled = np.clip((image.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
    return scaled if scaled.shape[-1] == 3 else scaled.mean(axis=-1)
