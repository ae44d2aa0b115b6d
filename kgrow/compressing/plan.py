"""`CompressionPlan`: how far a model is pruned, in which steps, and how it is fine-tuned."""

from __future__ import annotations

import dataclasses
import math

from kgrow.pruning import ChannelCriterion, Criterion, Iterative
from kgrow.task import Augmentation

STEPS_OF_TRAINING, FEWEST_EPOCHS, MOST_EPOCHS = 1000, 12, 60


def default_epochs(num_examples: int, batch_size: int) -> int:
    """Returns enough epochs for 1000 steps of fine-tuning, within 12 and 60."""
    wanted = math.ceil(STEPS_OF_TRAINING / max(1, num_examples // batch_size))
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, wanted))


@dataclasses.dataclass(frozen=True)
class CompressionPlan:
    """Settings of the pruning and fine-tuning of a model; the arguments of `compress`, which checks each of them.

    Args:
        channel_keep_ratio: Final kept fraction of the channels, in (0, 1].
        keep_ratio: Final kept fraction of all connections, in (0, 1], those of removed channels included.
        channel_criterion: Criterion of the kept channels.
        criterion: Criterion of the kept connections.
        channel_multiple: Divisor of the widths of layers.
        steps: Number of pruning events, spread over the first half of the epochs.
        epochs: Number of fine-tuning epochs.
        batch_size: Number of images per step of fine-tuning.
        learning_rate: Initial learning rate of Adam.
        augmentation: Augmentation of training images.
        seed: Random seed.
    """

    channel_keep_ratio: float
    keep_ratio: float
    channel_criterion: ChannelCriterion
    criterion: Criterion
    channel_multiple: int
    steps: int
    epochs: int
    batch_size: int
    learning_rate: float
    augmentation: Augmentation
    seed: int

    def __post_init__(self) -> None:
        if self.epochs < self.steps:
            raise ValueError(
                f"`epochs` must be at least `steps`, {self.steps}, but got {self.epochs}: each step of pruning is "
                "followed by fine-tuning."
            )

    @property
    def schedule(self) -> Iterative:
        """The pruning schedule of channels and connections; the whole model is one block."""
        gap = max(1, self.epochs // (2 * self.steps))
        return Iterative(tuple(range(0, self.steps * gap, gap)), self.steps)
