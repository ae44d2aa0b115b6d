"""`Pace`: the speed of training on this machine."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import itertools
import time

import numpy as np

from kgrow.graph import Architecture
from kgrow.lifecycle.image_size import fitted
from kgrow.lifecycle.judged import judged_fraction
from kgrow.lifecycle.settings import Settings
from kgrow.lifecycle.trainer import Trainer
from kgrow.network import GrowingNetwork
from kgrow.task import Task

TIMED_STEPS, TIMED_IMAGES = 5, 256
PRECISION = 10_000  # fractions of an epoch are multiples of 1 / PRECISION


@dataclasses.dataclass(frozen=True)
class Pace:
    """The duration of a training.

    Args:
        starting_s: Seconds to trace the network's steps, during growth and for the whole network.
        epoch_s: Seconds per epoch of the whole network, including validation.
        tracing_s: Seconds to trace the whole network's steps once.
        validation_s: Seconds for all validation images.
        num_train: Number of training images.
        num_validation: Number of validation images; an epoch may be judged by a part of them, see `judged_fraction`.
    """

    starting_s: float
    epoch_s: float
    tracing_s: float = 0.0
    validation_s: float = 0.0
    num_train: int = 1
    num_validation: int = 1

    def changed(self, share: float, traces: int) -> Pace:
        """Returns the mean pace of a training whose network, or whose images, change their size.

        Args:
            share: Mean time of an epoch as a fraction of this pace's.
            traces: Number of changes, after each of which the steps are traced again.
        """
        return dataclasses.replace(
            self,
            starting_s=self.starting_s + traces * self.tracing_s,
            epoch_s=share * self.epoch_s,
            validation_s=share * self.validation_s,
        )

    def epochs_within(self, seconds: float) -> int:
        """Returns how many epochs fit into a time, at least one."""
        return max(1, int((seconds - self.starting_s) / self.epoch_s))

    def share_within(self, seconds: float, epochs: int) -> float:
        """Returns the largest fraction of each epoch's steps with which so many epochs fit into a time; 0 for none."""
        fractions = range(1, PRECISION + 1)
        fitting = bisect.bisect_right(fractions, seconds, key=lambda part: self.seconds_for(epochs, part / PRECISION))
        return fitting / PRECISION

    def seconds_for(self, epochs: int, share: float) -> float:
        """Returns the time of so many epochs with a fraction of their steps; the inverse of `share_within`."""
        judging_s, part_s = (
            self.validation_s * judged_fraction(self.num_validation, part * self.num_train) for part in (1.0, share)
        )
        return self.starting_s + epochs * (share * (self.epoch_s - judging_s) + part_s)


def pace_of(task: Task, architecture: Architecture, settings: Settings) -> Pace:
    """Trains a temporary network for a few steps and returns the measured pace.

    Args:
        task: Data of the training.
        architecture: Architecture of the whole network.
        settings: Settings of the training.
    """
    preset, seed = settings.preset, settings.seed
    batches = task.train.batches(preset.batch_size, shuffle_seed=(seed, 0), drop_remainder=True)
    drawn = itertools.islice(batches, 1 + TIMED_STEPS)
    first, *others = [(fitted(images, architecture), labels) for images, labels in drawn]
    timed, images = others or [first], fitted(task.validation.images[:TIMED_IMAGES], architecture)
    weights = np.ones(len(architecture.blocks), np.float32)
    with contextlib.nullcontext() if settings.distribution is None else settings.distribution.scope():
        network = GrowingNetwork(architecture, seed=seed)
        trainer = Trainer(network, preset, settings.augmentation, seed, precision=settings.precision)
        moments = [time.monotonic()]
        for batch in ([first], timed):
            trainer.train_epoch(batch, 0, weights, len(batch))
            moments.append(time.monotonic())
        for _ in range(2):  # the first step is traced
            trainer.network.logits(images)
            moments.append(time.monotonic())
    tracing, steps, tracing_validation, validating = np.diff(moments)
    num_steps = len(task.train) // preset.batch_size
    validation_s = float(validating) / len(images) * len(task.validation)
    return Pace(
        # The step is traced again whenever a block is added: for the whole network once, and for half of it on average.
        starting_s=float(tracing + tracing_validation) * (1 + len(architecture.blocks)) / 2,
        epoch_s=float(steps) / len(timed) * num_steps
        + validation_s * judged_fraction(len(task.validation), len(task.train)),
        tracing_s=float(tracing + tracing_validation),
        validation_s=validation_s,
        num_train=len(task.train),
        num_validation=len(task.validation),
    )
