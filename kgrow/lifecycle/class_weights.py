"""The weight of each class in the training loss."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence

import numpy as np

from kgrow._checks import nearest

# Ratio of the largest to the smallest class; above it "auto" balances the classes.
LARGEST_IMBALANCE = 3


def chosen_class_weights(
    given: str | Mapping[str | int, float] | None, class_names: Sequence[str], labels: np.ndarray
) -> tuple[float, ...] | None:
    """Returns the loss factor of a training image by its class, or None if all have the same weight.

    Args:
        given: Class weights; see `kgrow.search`.
        class_names: Class names in the order of the labels.
        labels: Class index of each training image.

    Returns:
        One positive number per class; the mean over the training images is 1.
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
