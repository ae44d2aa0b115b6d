"""Training with fixed masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import keras
from kgrow._rules import check_fields, within
from kgrow.network import GrowingNetwork
from kgrow.run import Run
from kgrow.task import Split
from kgrow.training import ResumableLoop, TrainingStep, check_finite, half_cosine, joint_loss


@dataclasses.dataclass(frozen=True)
class Training:
    """Settings of the training of every network: Adam with a rate that falls to zero over half a cosine.

    Args:
        epochs: Number of epochs; the weights after the last one are kept.
        batch_size: Images per step; a last, smaller batch of an epoch is left out.
        learning_rate: Initial learning rate of Adam.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("epochs", "batch_size"), check_positive_int)
        check_fields(self, {**counts, "learning_rate": within("(0, inf)", "A usual one is 0.002.")})


class DensityTraining(ResumableLoop):
    """A training of a network with fixed masks.

    Args:
        network: Network to train in place.
        split: Raw images to train on.
        training: Training settings.
        seed: Random seed of the image order.
        folder: Folder of the checkpoint; None writes nothing.
        identity: Plain JSON values that a checkpoint must match.
    """

    def __init__(
        self,
        network: GrowingNetwork,
        split: Split,
        training: Training,
        seed: int,
        folder: Run | None = None,
        identity: Mapping[str, Any] | None = None,
    ):
        super().__init__(training.epochs, folder)
        self.network, self.split, self.training, self.seed = network, split, training, seed
        self.identity, self.loss = dict(identity or {}), 0.0
        self._batch_size = min(training.batch_size, len(split))
        self.step = TrainingStep(
            {name: variable for name, variable in network.named_variables().items() if variable.trainable},
            lambda images, labels: joint_loss(network(images, training=True), labels, [1.0], 0.0),
            keras.optimizers.Adam(training.learning_rate, jit_compile=False),
            finish=network.apply_masks,
        )

    @property
    def num_steps(self) -> int:
        """See `EpochLoop.num_steps`."""
        return len(self.split) // self._batch_size

    def train_epoch(self, epoch: int, on_step: Callable[[int], None]) -> None:
        """See `EpochLoop.train_epoch`."""
        steps = self.num_epochs * self.num_steps
        self.loss = self.step.epoch(
            self.split.batches(self._batch_size, shuffle_seed=(self.seed, epoch), drop_remainder=True),
            lambda number: self.training.learning_rate * half_cosine((epoch * self.num_steps + number) / steps),
            on_step=on_step,
        )
        check_finite(epoch, self.loss)

    def state(self) -> dict[str, np.ndarray]:
        """See `ResumableLoop.state`."""
        return self.network.state() | self.step.slots()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """See `ResumableLoop.load_state`."""
        self.network.load_state(state)
        self.step.load_slots(state)

    def progress(self) -> dict[str, Any]:
        """See `ResumableLoop.progress`."""
        return self.identity

    def load_progress(self, progress: Mapping[str, Any]) -> None:
        """See `ResumableLoop.load_progress`.

        Raises:
            ValueError: If the checkpoint belongs to another network.
        """
        if progress != self.identity:
            raise ValueError(
                f"`oracle` must propose what it proposed before the search was interrupted, but that was {progress} "
                f"and is now {self.identity}. Give the oracle a seed."
            )


def train(network: GrowingNetwork, split: Split, training: Training, seed: int) -> float:
    """Trains a network in place for all epochs; see `DensityTraining`.

    Returns:
        Mean cross-entropy of the last epoch, in nats per image.
    """
    loop = DensityTraining(network, split, training, seed)
    loop.go_on(0)
    return loop.loss
