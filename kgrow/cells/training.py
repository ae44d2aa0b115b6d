"""Training of cell networks with or without gates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import keras, tf
from kgrow.run import Run
from kgrow.task import Augmentation, Split, Task
from kgrow.training import Observer, ResumableLoop, TrainingStep, check_finite, half_cosine


@dataclasses.dataclass(frozen=True)
class SGDConfig:
    """Settings of SGD with momentum; the learning rate falls to 0 on a cosine.

    Args:
        learning_rate: Initial learning rate.
        momentum: Momentum of SGD.
        l2: Coupled weight decay: the gradient of a weight gains `l2 * weight`; gates have none.
        batch_size: Images per step; a last, smaller batch is left out.
        clip_norm: Largest norm of the gradient over all variables, decay included.
    """

    learning_rate: float = 0.1
    momentum: float = 0.9
    l2: float = 1e-4
    batch_size: int = 64
    clip_norm: float = 5.0

    def __post_init__(self) -> None:
        check_positive_int(self.batch_size, "batch_size")


@dataclasses.dataclass(frozen=True)
class Gating:
    """The factors of the maps of a gated network.

    Args:
        values: Function that returns the second and further inputs of the network.
        variables: Variables trained together with the weights; empty if they are trained elsewhere.
    """

    values: Callable[[], list[Any]] = list
    variables: Sequence[Any] = ()


class CellTrainer:
    """Trains a network; a changed network needs a new trainer.

    Args:
        network: Network to train in place.
        task: Task that decides the augmentation; images are drawn from the split that is passed to `train_epoch`.
        sgd: Training settings.
        seed: Random seed of image order and augmentation.
        gating: Gating of a gated network.
    """

    def __init__(self, network: keras.Model, task: Task, sgd: SGDConfig, seed: int, gating: Gating | None = None):
        self.network, self.sgd, self.seed = network, sgd, seed
        gating = gating or Gating()
        augmentation, mean = Augmentation.suited_to(task), tf.constant(task.pixel_mean, tf.float32)
        weights = {variable.name: variable for variable in network.trainable_variables}
        gates = {f"gate_{index}": variable for index, variable in enumerate(gating.variables)}
        self.step = TrainingStep(
            weights | gates,
            lambda images, labels: mean_loss(network, images, gating.values(), labels, training=True),
            keras.optimizers.SGD(sgd.learning_rate, sgd.momentum, global_clipnorm=sgd.clip_norm, jit_compile=False),
            prepare=lambda images, seed: augmentation.augment_around(images, seed, mean),
            decay=dict.fromkeys(weights, sgd.l2),
            seed=seed,
        )

    def state(self) -> dict[str, np.ndarray]:
        """Returns the weights of the network and the optimizer's state, without the values of gates."""
        return {variable.name: variable.numpy() for variable in self.network.weights} | self.step.slots()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Assigns the values that `state` returned."""
        for variable in self.network.weights:
            variable.assign(state[variable.name])
        self.step.load_slots(state)

    def num_steps(self, split: Split) -> int:
        """Returns the number of steps of an epoch.

        Raises:
            ValueError: If the split does not fill a batch.
        """
        if len(split) < self.sgd.batch_size:
            raise ValueError(f"`batch_size` must not exceed the {len(split)} images, but got {self.sgd.batch_size}.")
        return len(split) // self.sgd.batch_size

    def train_epoch(
        self,
        split: Split,
        epoch: int,
        num_epochs: int,
        before_step: Callable[[], None] = lambda: None,
        on_step: Callable[[int], None] = lambda done: None,
    ) -> float:
        """Trains for an epoch and returns the mean loss.

        Args:
            split: Split to train on.
            epoch: Number of the epoch, from 0.
            num_epochs: Number of epochs over which the learning rate falls.
            before_step: Function called before every step.
            on_step: Function called after every step with the number of steps done.

        Raises:
            ValueError: If the split does not fill a batch.
            TrainingDivergedError: If the loss is no longer a number: gates and weights then have no meaning.
        """
        num_steps = self.num_steps(split)
        self.step.number = epoch * num_steps
        loss = self.step.epoch(
            split.batches(self.sgd.batch_size, shuffle_seed=(self.seed, epoch), drop_remainder=True),
            lambda number: self.sgd.learning_rate * half_cosine((epoch + number / num_steps) / num_epochs),
            before_step=before_step,
            on_step=on_step,
        )
        check_finite(epoch, loss)
        return loss


def mean_loss(network: keras.Model, images: Any, gates: Sequence[Any], labels: Any, *, training: bool) -> Any:
    """Returns the mean cross-entropy in nats per image.

    Args:
        network: Network with or without gates.
        images: Raw images, float (batch, height, width, channels).
        gates: Further inputs of the network.
        labels: Labels, int32 (batch,).
        training: Whether normalization uses the statistics of the batch.
    """
    logits = network([images, *gates] if gates else images, training=training)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


class CellTraining(ResumableLoop):
    """Trains a plain network on the training split.

    Args:
        network: Network to train in place.
        task: Task to train on.
        num_epochs: Number of epochs.
        seed: Random seed of image order and augmentation.
        sgd: Training settings.
        folder: Folder of the checkpoint; None writes nothing.
        observer: Observer that is notified of every step and epoch.

    Attributes:
        losses: Mean loss of every epoch so far.
    """

    def __init__(
        self,
        network: keras.Model,
        task: Task,
        num_epochs: int,
        seed: int,
        sgd: SGDConfig | None = None,
        folder: Run | None = None,
        observer: Observer | None = None,
    ):
        super().__init__(num_epochs, folder, observer, "cells")
        self.task, self.losses = task, list[float]()
        self._trainer = CellTrainer(network, task, sgd or SGDConfig(), seed)

    @property
    def num_steps(self) -> int:
        """See `EpochLoop.num_steps`."""
        return self._trainer.num_steps(self.task.train)

    def train_epoch(self, epoch: int, on_step: Callable[[int], None]) -> None:
        """See `EpochLoop.train_epoch`."""
        loss = self._trainer.train_epoch(self.task.train, epoch, self.num_epochs, on_step=on_step)
        self.losses.append(loss)
        self.observer.note(f"epoch {epoch + 1} of {self.num_epochs}: loss {loss:.3f}")

    def state(self) -> dict[str, np.ndarray]:
        """See `ResumableLoop.state`."""
        return self._trainer.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """See `ResumableLoop.load_state`."""
        self._trainer.load_state(state)

    def progress(self) -> dict[str, Any]:
        """See `ResumableLoop.progress`."""
        return {"losses": self.losses}

    def load_progress(self, progress: Mapping[str, Any]) -> None:
        """See `ResumableLoop.load_progress`."""
        self.losses = list(progress["losses"])


def correct_answers(network: keras.Model, split: Split, batch_size: int = 500) -> np.ndarray:
    """Returns for every image whether a plain network predicts its class, bool (num_images,)."""
    answer = tf.function(lambda images: tf.argmax(network(images, training=False), axis=-1), autograph=False)
    found = [answer(tf.constant(images, tf.float32)).numpy() == labels for images, labels in split.batches(batch_size)]
    return np.concatenate(found)
