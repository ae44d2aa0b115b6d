"""How much an image of each class counts in the training loss."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence

import numpy as np

from kgrow._checks import nearest

# Between the numbers of images of the largest and the smallest class: beyond it "auto" balances them.
LARGEST_IMBALANCE = 3


def chosen_class_weights(
    given: str | Mapping[str | int, float] | None, class_names: Sequence[str], labels: np.ndarray
) -> tuple[float, ...] | None:
    """Returns the factor of the loss of a training image by its class, or None if all count alike.

    Args:
        given: See `kgrow.search`.
        class_names: In the order of the labels.
        labels: Class indices of the training images.

    Returns:
        One positive number per class, such that the mean over the training images is 1.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    if isinstance(given, Mapping):
        weights = np.ones(len(class_names))
        for name, weight in given.items():
            weights[_class_index(name, class_names)] = weight
    else:
        is_balanced = given == "balanced" or (given == "auto" and counts.max() > LARGEST_IMBALANCE * counts.min())
        weights = 1 / counts if is_balanced else np.ones(len(class_names))
    weights = weights * (len(labels) / np.sum(weights * counts))
    return None if np.allclose(weights, 1) else tuple(weights.tolist())


def _class_index(name: str | int, class_names: Sequence[str]) -> int:
    is_index = isinstance(name, numbers.Integral) and not isinstance(name, bool)
    if is_index and 0 <= int(name) < len(class_names):
        return int(name)
    if name not in class_names:
        raise ValueError(
            f"`class_weight` must have names or numbers of classes as keys, but got {name!r}. "
            f"{nearest(str(name), class_names)}".rstrip()
        )
    return list(class_names).index(str(name))
