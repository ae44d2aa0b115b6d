"""`ProgressiveResolution`: trains on small images first."""

from __future__ import annotations

import dataclasses

from kgrow._checks import check_non_negative_int
from kgrow.graph import Architecture
from kgrow.graph.image_size import at_image_size
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.structure.resize_images import ResizeImages


@dataclasses.dataclass(frozen=True)
class ProgressiveResolution(StructurePolicy):
    """Enlarges the images in steps, up to their own size: most is learned on smaller ones, in a part of the time.

    A step to a size at which the network cannot have its weights is left out.

    Args:
        steps: Epoch of each step, increasing, and its fraction of the final sides, in (0, 1]. Without
            steps it changes nothing.

    References:
        Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021, https://arxiv.org/abs/2104.00298,
        section 4.
    """

    steps: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        epochs = [check_non_negative_int(epoch, "steps") for epoch, _ in self.steps]
        if sorted(epochs) != epochs:
            raise ValueError(f"`steps` must be in the order of their epochs, but got {self.steps}.")
        if any(not 0 < fraction <= 1 for _, fraction in self.steps):
            raise ValueError(f"`steps` must hold fractions in (0, 1], but got {self.steps}.")

    def propose(self, state: StructureState) -> ResizeImages | None:
        """See `StructurePolicy.propose`."""
        size = self.size_at(state.epoch, state.target)
        return None if not self.steps or size == state.architecture.input_shape[:2] else ResizeImages(size)

    def size_at(self, epoch: int, target: Architecture) -> tuple[int, int]:
        """Returns height and width of the images of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            target: Final architecture of the network.
        """
        height, width, _ = target.input_shape
        due = [fraction for start, fraction in self.steps if start <= epoch]
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
        return not self.steps or state.architecture.input_shape == state.target.input_shape
