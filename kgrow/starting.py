"""What networks start with: nothing, or the blocks and weights of a published one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from kgrow.compressing.figures import accuracy
from kgrow.config import Growth
from kgrow.network import GrowingNetwork
from kgrow.pretrained.sources import is_at_hand
from kgrow.registry import BACKBONES, SCRATCH, SPACES
from kgrow.reporting.wording import grouped, percent
from kgrow.searching.pretrained import Pretrained
from kgrow.searching.space import SearchSpace
from kgrow.task import Task

# Smallest side of images for pretrained blocks: a fifth stride would see a single position.
LEAST_SIDE = 32
# Smallest side of images that are taken for photographs.
PHOTOGRAPH_SIDE = 64
HINT = (
    "Photographs are often told apart better by a network that has seen others before: `start` 'lite0' (--start lite0, "
    "with kgrow[lite0]); 'auto' compares it with a start from scratch."
)


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
    if space.is_own:
        _note_own(located, task, note)
        return dataclasses.replace(growth, space=located, start=SCRATCH, weights=None)
    note(f"networks start with the weights of {located.start}: {located.file(side)}, SHA-256 {located.sha256}")
    if task.input_shape[2] == 1:
        note("the images are gray: the first convolution, made for colors, reads each as three equal channels")
    return dataclasses.replace(growth, space=located, start=SCRATCH, weights=None)


def space_of(growth: Growth) -> SearchSpace:
    """Returns the space of a section, which may name it."""
    return SPACES[growth.space] if isinstance(growth.space, str) else growth.space


def start_of(space: SearchSpace) -> str:
    """Returns what the networks of a space start with: `"scratch"`, a published network or the path of a model."""
    return space.start if isinstance(space, Pretrained) else SCRATCH


def _space(growth: Growth, task: Task, note: Callable[[str], None]) -> Pretrained | None:
    """Returns the space of a published network, or None to start from scratch."""
    start, space = growth.start, space_of(growth)
    if start == SCRATCH:
        if growth.weights is not None:
            raise ValueError("`growth.weights` must come with `growth.start` (--start NAME), whose weights they are.")
        if isinstance(space, Pretrained):
            return space
        if growth.space == Growth().space and _are_photographs(task):
            note(HINT)
        return None
    if growth.space != Growth().space:
        raise ValueError(
            f"`growth.start` must be 'scratch' with a `space`, but got {start!r} and {growth.space!r}: the published "
            "network is the space."
        )
    return Pretrained(start, growth.weights)


def starts_at_hand(task: Task, note: Callable[[str], None]) -> list[str]:
    """Returns the published networks whose weights are on this machine, for photographs; none for other images."""
    at_hand = [name for name in BACKBONES if is_at_hand(name, min(task.input_shape[:2]))]
    if not at_hand or not _are_photographs(task):
        why = "the weights of no published network are at hand" if not at_hand else "these are no color photographs"
        note(f"networks start from scratch, as {why}")
        return []
    return at_hand


def _are_photographs(task: Task) -> bool:
    return task.dtype == np.uint8 and task.input_shape[2] == 3 and min(task.input_shape[:2]) >= PHOTOGRAPH_SIDE


def _note_own(space: Pretrained, task: Task, note: Callable[[str], None]) -> None:
    """Tells what of a model of one's own a search starts with, and how well it answers as it is."""
    own = space.own(min(task.input_shape[:2]))
    for message in own.notes:
        note(message)
    note(f"networks start with the weights of {space.start}, SHA-256 {space.sha256}")
    stages = space.build(task.input_shape, task.num_classes)
    note(f"an internal classifier comes after each of its {len(stages.blocks) - 1} stages, before its own")
    whole = own.weighted.architecture
    if whole.num_classes != task.num_classes:
        note(f"it tells {whole.num_classes} classes apart, not {task.num_classes}: its last layer is replaced")
    elif whole.input_shape == task.input_shape:
        network = GrowingNetwork(whole)
        network.load_state(own.weighted.state)
        found = accuracy(network, task.validation)
        size = grouped(whole.kernel_params())
        note(f"as it is, it answers {percent(found)} % of the validation images, with {size} connections")


def _check_images(space: Pretrained, task: Task) -> None:
    """Checks that the images of a search suit its space; a model of one's own is asked when it is built.

    Raises:
        ValueError: If the weights of a published network are for other images.
    """
    if space.is_own:
        return
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
