"""`ProgressiveResolution`: trains on small images first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from kgrow._checks import check_non_negative_int
from kgrow._rules import check_fields
from kgrow.graph import Architecture
from kgrow.graph.image_size import at_image_size
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.structure.resize_images import ResizeImages


@dataclasses.dataclass(frozen=True)
class ProgressiveResolution(StructurePolicy):
    """Enlarges the images in steps, up to their own size: most is learned on smaller ones, in a part of the time.

    A step to a size at which the network cannot have its weights is left out.

    Args:
        resolutions: Epoch of each step, in order, and its fraction of the final sides, in (0, 1], the last one being 1.
            Without any it changes nothing.

    References:
        Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021, https://arxiv.org/abs/2104.00298,
        section 4.
    """

    resolutions: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self, {"resolutions": checked_resolutions})

    def propose(self, state: StructureState) -> ResizeImages | None:
        """See `StructurePolicy.propose`."""
        size = self.size_at(state.epoch, state.target)
        return None if not self.resolutions or size == state.architecture.input_shape[:2] else ResizeImages(size)

    def size_at(self, epoch: int, target: Architecture) -> tuple[int, int]:
        """Returns height and width of the images of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            target: Final architecture of the network.
        """
        height, width, _ = target.input_shape
        due = [fraction for start, fraction in self.resolutions if start <= epoch]
        if not due:
            return height, width
        size = max(1, round(due[-1] * height)), max(1, round(due[-1] * width))
        try:
            at_image_size(target, size)
        except ValueError:
            return height, width
        return size

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return state.architecture.input_shape == state.target.input_shape


def checked_resolutions(given: Any, name: str = "resolutions") -> tuple[tuple[int, float], ...]:
    """Returns epochs with fractions of the final sides; see `ProgressiveResolution`.

    Raises:
        ValueError: If they are not pairs of such numbers, not in order, or do not end with the whole size.
    """
    is_sequence = isinstance(given, Sequence) and not isinstance(given, str)
    if not is_sequence or any(not isinstance(step, Sequence) or len(step) != 2 for step in given):
        raise ValueError(f"`{name}` must be pairs of an epoch and a fraction, but got {given!r}.")
    steps = tuple((check_non_negative_int(epoch, name), fraction) for epoch, fraction in given)
    if any(isinstance(part, bool) or not isinstance(part, int | float) or not 0 < part <= 1 for _, part in steps):
        raise ValueError(f"`{name}` must hold fractions in (0, 1], but got {given!r}.")
    if sorted(epoch for epoch, _ in steps) != [epoch for epoch, _ in steps]:
        raise ValueError(f"`{name}` must be in the order of their epochs, but got {given!r}.")
    if steps and steps[-1][1] != 1:
        raise ValueError(f"`{name}` must end with the whole size, a fraction of 1, but got {given!r}.")
    return tuple((epoch, float(part)) for epoch, part in steps)
