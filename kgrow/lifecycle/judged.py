"""The validation images by which the epochs of a training are judged."""

from __future__ import annotations

import numpy as np

from kgrow.lifecycle.preset import Preset
from kgrow.task import Split, Task

# An answer costs a third of a training step, so judging takes at most a tenth of the time of training, unless so few
# images would say too little.
MOST_PER_TRAINED, LEAST_JUDGED = 0.3, 1000


def judged_fraction(num_validation: int, num_trained: float) -> float:
    """Returns the fraction of the validation images that an epoch is judged by.

    Args:
        num_validation: Number of validation images.
        num_trained: Number of training images in an epoch.
    """
    return min(1.0, max(MOST_PER_TRAINED * num_trained, LEAST_JUDGED) / num_validation)


def judged_images(task: Task, preset: Preset) -> Split:
    """Returns the validation images that each epoch is judged by: all, or some drawn once where epochs are short."""
    validation = task.validation
    trained = preset.num_steps(len(task.train)) * preset.batch_size
    number = int(judged_fraction(len(validation), trained) * len(validation))
    if number >= len(validation):
        return validation
    rows = np.sort(np.random.default_rng(0).choice(len(validation), number, replace=False))
    return Split(np.asarray(validation.images[rows]), validation.labels[rows])
