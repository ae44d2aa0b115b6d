"""A task with fewer and smaller images."""

from __future__ import annotations

import numpy as np

from kgrow._keras import tf
from kgrow.task import Split, Task
from kgrow.task.partition import carve
from kgrow.task.split import slices

SMALLEST_SIDE = 4


def smaller_task(task: Task, data_ratio: float, resolution_ratio: float, seed: int) -> Task:
    """Returns a task with a part of the training images, all of a lower resolution.

    All validation images stay, as few of them would rank candidates by luck. The test images are left alone: the
    task's test split is its validation split.

    Args:
        task: Left as it is.
        data_ratio: Share of the training images, in (0, 1].
        resolution_ratio: Of the sides, in (0, 1].
        seed: Decides which images stay.
    """
    train = _lowered(stratified(task.train, data_ratio, seed), resolution_ratio)
    validation = _lowered(task.validation, resolution_ratio)
    return Task(task.name, train, validation, validation, task.class_names)


def stratified(split: Split, ratio: float, seed: int) -> Split:
    """Returns a share of the examples, in their order: of every class its part, to the nearest example.

    Args:
        split: To choose from.
        ratio: In (0, 1]; every class keeps at least one example.
        seed: Decides which.
    """
    if ratio == 1:
        return split
    rows, _ = carve(split.labels, (1.0 - ratio,), seed)
    return Split(np.asarray(split.images[rows]), split.labels[rows])


def area_average(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns images whose pixels are the means of the areas that they cover, float32.

    Args:
        images: (num_images, height, width, channels).
        size: (height, width), no larger than the images.
    """
    smaller = np.empty((len(images), *size, images.shape[3]), np.float32)
    for rows in slices(len(images), images[0].size * smaller.itemsize):
        smaller[rows] = tf.image.resize(images[rows], size, method="area").numpy()
    return smaller


def lower_sides(height: int, width: int, ratio: float) -> tuple[int, int]:
    """Returns the sides of an image of lower resolution: at least 4 pixels, and no more than there are."""
    lowered = [min(side, max(SMALLEST_SIDE, round(side * ratio))) for side in (height, width)]
    return lowered[0], lowered[1]


def _lowered(split: Split, ratio: float) -> Split:
    if ratio == 1:
        return split
    height, width = split.images.shape[1:3]
    return Split(area_average(split.images, lower_sides(height, width, ratio)), split.labels)
