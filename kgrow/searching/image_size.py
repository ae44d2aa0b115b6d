"""The largest images for which a space offers a network within the limits."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from kgrow.searching.images import Images
from kgrow.searching.limits import LimitError
from kgrow.searching.proposals import Proposals
from kgrow.task import Split

# Sides are multiples of the step.
STEP, SMALLEST_SIDE = 4, 8


@dataclasses.dataclass(frozen=True)
class _Resized:
    """A task at another image size; the images themselves are as they were, because nothing is trained."""

    train: Split
    input_shape: tuple[int, int, int]
    num_classes: int
    dtype: np.dtype
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]


def fitting_size(task: Images, propose: Callable[[Images], Proposals], image_size: Any, may_resize: bool) -> Any:
    """Returns an `image_size` for which a candidate fits: the given one, or the largest.

    Args:
        task: Data at the given size.
        propose: Function that returns the candidates that fit, or raises LimitError.
        image_size: Given image size; None for the size of the data.
        may_resize: Whether another size may be chosen.

    Raises:
        LimitError: If no candidate fits; the message suggests a size.
    """
    try:
        propose(task)
    except LimitError as error:
        size = largest_image_size(task, propose)
        if size is None:
            raise
        option = size[0] if size[0] == size[1] else size
        if may_resize:
            return option
        raise LimitError(
            f"{error} Images of {size[0]}x{size[1]} would do: `Task.of(..., image_size={option})` (`--image-size`)."
        ) from None
    return image_size


def largest_image_size(task: Images, propose: Callable[[Images], Proposals]) -> tuple[int, int] | None:
    """Returns the next lower (height, width) of a task for which a candidate fits; None if there is none.

    Nothing is trained: the costs of a network follow from its architecture.

    Args:
        task: Data for which no candidate fits; the proportions of its images are kept.
        propose: Function that returns the candidates that fit, or raises LimitError.
    """
    height, width, channels = task.input_shape
    longest = max(height, width)
    known = {name: getattr(task, name) for name in ("train", "num_classes", "dtype", "pixel_mean", "pixel_std")}

    def size_of(side: int) -> tuple[int, int]:
        return max(STEP, round(height * side / longest)), max(STEP, round(width * side / longest))

    def is_too_large(side: int) -> bool:
        try:
            propose(_Resized(input_shape=(*size_of(side), channels), **known))
        except LimitError:
            return True
        return False

    sides = range(SMALLEST_SIDE, longest, STEP)
    num_fitting = bisect.bisect_left(sides, True, key=is_too_large)
    return size_of(sides[num_fitting - 1]) if num_fitting else None
