"""Reading of arrays, or of anything that NumPy can convert to them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from kgrow.task.pictures import from_picture, is_picture
from kgrow.task.pixels import check_image_shape
from kgrow.task.split import slices
from kgrow.task.stream import Chunk, Stream
from kgrow.task.wording import counted


def open_arrays(images: Any, labels: Any, argument: str = "source") -> Stream:
    """Opens images and labels held in memory.

    Args:
        images: Array, tensor or list; a list may contain images of several sizes, and Pillow images.
        labels: One label per image, or one-hot rows.
        argument: Argument of `Task.of` from which they come.

    Returns:
        Stream over them.

    Raises:
        ValueError: If the numbers of images and labels differ.
    """
    images, labels = _as_images(images, argument), _as_rows(labels, argument)
    num_images, num_labels = len(images), len(labels)
    if num_images != num_labels:
        raise ValueError(
            f"`{argument}` must have one label per image, but got {counted(num_images, 'image')} and "
            f"{counted(num_labels, 'label')}."
        )
    if isinstance(images, list):
        return Stream(
            lambda: ((image[np.newaxis], labels[index : index + 1]) for index, image in enumerate(images)),
            argument,
            num_images,
            lambda: (image.shape[:2] for image in images),
        )

    def read() -> Iterator[Chunk]:
        for rows in slices(num_images, images.nbytes // max(1, num_images)):
            yield images[rows], labels[rows]

    return Stream(read, argument, num_images)


def _as_rows(labels: Any, argument: str) -> np.ndarray:
    try:
        return np.atleast_1d(np.asarray(labels))
    except ValueError:
        raise ValueError(
            f"`{argument}` must have one label per image, or one-hot rows of one length, but got labels that differ in "
            "their shape. Several labels per image are not supported."
        ) from None


def _as_images(images: Any, argument: str) -> np.ndarray | list[np.ndarray]:
    if isinstance(images, (list, tuple)) and any(map(is_picture, images)):
        images = [from_picture(image) if is_picture(image) else image for image in images]
    try:
        array = np.asarray(images)
    except ValueError:
        # NumPy rejects a list of images with several shapes: they stay a list.
        return _as_list(images, argument)
    if array.shape == (0,):
        return []
    if array.ndim == 1 and array.dtype == object:
        return _as_list(images, argument)
    if array.ndim < 2:
        check_image_shape(array.shape, argument)
    return array


def _as_list(images: Any, argument: str) -> list[np.ndarray]:
    try:
        arrays = [np.asarray(image) for image in images]
    except ValueError:
        raise ValueError(
            f"`{argument}` must hold images whose rows have one length, but got rows that differ."
        ) from None
    for array in arrays:
        if array.ndim not in (2, 3):
            check_image_shape((len(arrays), *array.shape), argument)
    return arrays
