"""Conversion of labels of any form to class indices, with checks that they form a classification."""

import unicodedata
from typing import Any

import numpy as np

from kgrow._checks import check_num_classes
from kgrow.task.stream import Source
from kgrow.task.wording import counted, list_some

LARGEST_LABEL = 2**31 - 2


def as_labels(labels: Any, argument: str = "source", offset: int = 0) -> tuple[np.ndarray, int]:
    """Converts labels to class indices.

    Args:
        labels: Integers or whole floats `(n,)` or `(n, 1)`, or one-hot rows `(n, num_classes)`.
        argument: Argument of `Task.of` from which they come.
        offset: Number of labels read before these, so that errors give the overall index.

    Returns:
        int64 class indices `(n,)`, and the number of classes from the one-hot width (0 if sparse).

    Raises:
        TypeError: If the labels are not numbers.
        ValueError: If they are not class indices.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "buif":
        raise TypeError(
            f"`{argument}` must have labels that are numbers, but got {labels.dtype}. Number the classes from 0, for "
            "example with `numpy.unique(labels, return_inverse=True)`, and pass the names as `class_names`."
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        check_num_classes(labels.shape[1], argument)
        return _from_one_hot(labels, argument, offset), labels.shape[1]
    if labels.ndim != 1:
        raise ValueError(
            f"`{argument}` must have one label per image, (num_examples,) or one-hot (num_examples, num_classes), "
            f"but got the shape {labels.shape}."
        )
    whole = np.isfinite(labels) & (labels == np.floor(labels)) & (labels >= 0)
    if not whole.all():
        raise ValueError(
            f"`{argument}` must have labels that are whole numbers from 0, but got {labels[~whole][0].item()!r} at "
            f"index {offset + int(np.flatnonzero(~whole)[0])}. Number the classes from 0."
        )
    # A float of 1e30 is a whole number too: it is limited here, before the conversion could wrap around.
    return np.minimum(labels.astype(np.float64), LARGEST_LABEL).astype(np.int64), 0


def name_classes(
    source: Source, class_names: tuple[str, ...] | None, labels: dict[str, np.ndarray], num_classes: int
) -> tuple[tuple[str, ...], dict[str, np.ndarray], list[str]]:
    """Returns the names of the classes after checking the labels against them.

    Args:
        source: Opened source.
        class_names: Names given by the caller, or None.
        labels: Class indices per split.
        num_classes: Number of classes seen in the labels.

    Returns:
        Class names, int32 labels (renumbered where classes without any example were left out) and notes.

    Raises:
        ValueError: If a label has no name, or the classes and images do not make a classification.
    """
    names, notes = class_names or source.class_names, []
    if class_names is None and names is not None and source.has_inherited_names and len(names) != num_classes:
        notes.append(f"Left out the class names {list_some(names)}: there are {counted(num_classes, 'class')} by now.")
        names = None
    if names is None:
        # Checked before the classes are named: one label of 10**9 must not create as many names.
        _check_enough(len(labels["train"]), num_classes)
        check_num_classes(num_classes, "source")
        names = tuple(str(index) for index in range(num_classes))
        notes.append(f"Classes are named by number, 0 to {num_classes - 1}. Pass `class_names` to name them.")
    for role, stream in source.streams().items():
        check_labels(labels[role], names, stream.argument)
    used = np.unique(np.concatenate(list(labels.values())))
    if source.has_unused_classes and class_names is None and len(used) < len(names):
        unused = [name for index, name in enumerate(names) if index not in used]
        notes.append(f"Left out {counted(len(unused), 'class')} without any example: {list_some(unused)}.")
        names = tuple(names[index] for index in used)
        labels = {role: np.searchsorted(used, indices) for role, indices in labels.items()}
    check_classes(labels["train"], names)
    return names, {role: indices.astype(np.int32) for role, indices in labels.items()}, notes


def _check_text(names: tuple[str, ...]) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:  # file-system bytes that are not UTF-8
            raise ValueError(
                f"`class_names` must be text that UTF-8 can hold, but got {name!a}. Rename the class or its folder."
            ) from None
        # A terminal would execute control characters, and a line break would shift all lines of `labels.txt`.
        if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
            raise ValueError(
                f"`class_names` must be text without control characters, but got {name!a}. Rename the class or its "
                "folder."
            )


def check_labels(labels: np.ndarray, class_names: tuple[str, ...], argument: str = "source") -> None:
    """Raises an error for labels without a class.

    Args:
        labels: Class indices.
        class_names: One name per class.
        argument: Argument of `Task.of` from which they come.

    Raises:
        ValueError: If a label is outside the range.
    """
    outside = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
    if outside.size:
        raise ValueError(
            f"`{argument}` must have labels in 0..{len(class_names) - 1} ({len(class_names)} classes), but got "
            f"{int(labels[outside[0]])} at index {int(outside[0])}. Number the classes from 0, or give every class a "
            "name in `class_names`."
        )


def check_classes(labels: np.ndarray, class_names: tuple[str, ...]) -> None:
    """Raises an error for a training split from which the classes cannot be learned.

    Args:
        labels: Class indices of the training split, within the range.
        class_names: One name per class.

    Raises:
        ValueError: If there is one class only, or fewer images than classes, or a class without an image, or a name
            that cannot be shown.
    """
    _check_text(class_names)
    if len(class_names) < 2:
        raise ValueError(
            f"`source` must have at least 2 classes, but got {len(class_names)}: {list(class_names)!r}. "
            "There is nothing to tell apart."
        )
    _check_enough(len(labels), len(class_names))
    missing = np.flatnonzero(np.bincount(labels, minlength=len(class_names)) == 0)
    if missing.size:
        names = [class_names[index] for index in missing]
        raise ValueError(
            f"`source` must hold a training image of every class, but got none of {list_some(names)}. "
            "Add images, or number the classes from 0 without gaps."
        )


def _check_enough(num_images: int, num_classes: int) -> None:
    if num_images < num_classes:
        raise ValueError(
            f"`source` must hold at least one training image per class, but got {counted(num_images, 'image')} "
            f"for {counted(num_classes, 'class')}. Add images, or check that the labels are class numbers."
        )


def _from_one_hot(labels: np.ndarray, argument: str, offset: int) -> np.ndarray:
    is_one_hot = ((labels == 0) | (labels == 1)).all(axis=1) & ((labels == 1).sum(axis=1) == 1)
    if not is_one_hot.all():
        first = int(np.flatnonzero(~is_one_hot)[0])
        raise ValueError(
            f"`{argument}` must have one-hot labels with a single 1 in each row, but got {labels[first].tolist()!r} at "
            f"index {offset + first}. Several or soft labels per image are not supported."
        )
    return labels.argmax(axis=1)
