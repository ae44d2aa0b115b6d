"""A task with fewer and smaller images."""

from __future__ import annotations

import numpy as np

from kgrow._keras import tf
from kgrow.task import Split, Task
from kgrow.task.partition import carve
from kgrow.task.split import slices

SMALLEST_SIDE = 4


def smaller_task(task: Task, data_ratio: float, resolution_ratio: float, seed: int) -> Task:
    """Returns a task with a part of the training images, all at a lower resolution.

    All validation images stay, because few of them would rank candidates by chance. The test images are not used: the
    task's test split is its validation split.

    Args:
        task: Task to reduce; it is not changed.
        data_ratio: Fraction of the training images, in (0, 1].
        resolution_ratio: Fraction of the sides, in (0, 1].
        seed: Random seed of the choice of images.
    """
    train = _lowered(stratified(task.train, data_ratio, seed), resolution_ratio)
    validation = _lowered(task.validation, resolution_ratio)
    return Task(task.name, train, validation, validation, task.class_names)


def stratified(split: Split, ratio: float, seed: int) -> Split:
    """Returns a fraction of the examples, in their order: the same fraction of every class, to the nearest example.

    Args:
        split: Split to choose from.
        ratio: Fraction of the examples, in (0, 1]; every class keeps at least one example.
        seed: Random seed of the choice.
    """
    if ratio == 1:
        return split
    rows, _ = carve(split.labels, (1.0 - ratio,), seed)
    return Split(np.asarray(split.images[rows]), split.labels[rows])


def area_average(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns images whose pixels are the means of the areas that they cover, float32.

    Args:
        images: Images, (num_images, height, width, channels).
        size: New (height, width), no larger than the images.
    """
    smaller = np.empty((len(images), *size, images.shape[3]), np.float32)
    for rows in slices(len(images), images[0].size * smaller.itemsize):
        smaller[rows] = tf.image.resize(images[rows], size, method="area").numpy()
    return smaller


def lower_sides(height: int, width: int, ratio: float) -> tuple[int, int]:
    """Returns the sides of an image of lower resolution: at least 4 pixels, and not more than the original."""
    lowered = [min(side, max(SMALLEST_SIDE, round(side * ratio))) for side in (height, width)]
    return lowered[0], lowered[1]


def _lowered(split: Split, ratio: float) -> Split:
    if ratio == 1:
        return split
    height, width = split.images.shape[1:3]
    return Split(area_average(split.images, lower_sides(height, width, ratio)), split.labels)
