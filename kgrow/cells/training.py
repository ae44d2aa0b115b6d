"""Training of cell networks, with or without gates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import keras, tf
from kgrow.task import Augmentation, Split, Task


@dataclasses.dataclass(frozen=True)
class Descent:
    """How weights are trained: SGD with momentum, its rate falling to 0 on a cosine.

    Args:
        learning_rate: At first.
        momentum: Of SGD.
        l2: Coupled weight decay: the gradient of a weight gains `l2 * weight`; gates are spared.
        batch_size: Images per step; a last, smaller batch is left out.
        clip_norm: Longest gradient over all variables.
    """

    learning_rate: float = 0.1
    momentum: float = 0.9
    l2: float = 1e-4
    batch_size: int = 64
    clip_norm: float = 5.0

    def __post_init__(self) -> None:
        check_positive_int(self.batch_size, "batch_size")

    def rate_at(self, progress: float) -> float:
        """Returns the learning rate at a fraction of the training."""
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


@dataclasses.dataclass(frozen=True)
class Gating:
    """What multiplies the maps of a gated network.

    Args:
        values: Returns the second and further inputs of the network.
        variables: That are trained together with the weights; none if they are trained elsewhere.
    """

    values: Callable[[], list[Any]] = list
    variables: Sequence[Any] = ()


class CellTrainer:
    """Trains a network; a changed network needs a new trainer.

    Args:
        network: Trained in place.
        task: For the augmentation; images are drawn from the split that is passed to `train_epoch`.
        descent: How.
        seed: Of the order of images and of their changes.
        gating: Of a gated network.
    """

    def __init__(self, network: keras.Model, task: Task, descent: Descent, seed: int, gating: Gating | None = None):
        self.network, self.descent, self.seed, self.gating = network, descent, seed, gating or Gating()
        self._augmentation, self._mean = Augmentation.suited_to(task), tf.constant(task.pixel_mean, tf.float32)
        self._weights = network.trainable_variables
        self._variables = [*self._weights, *self.gating.variables]
        self._optimizer = keras.optimizers.SGD(descent.learning_rate, descent.momentum, jit_compile=False)
        self._optimizer.build(self._variables)
        self._step = tf.function(self._train_step, autograph=False)

    def state(self) -> dict[str, np.ndarray]:
        """Returns the weights of the network and what the optimizer remembers, not the values of gates."""
        weights = {variable.name: variable.numpy() for variable in self.network.weights}
        return weights | {f"momentum_{index}": slot.numpy() for index, slot in enumerate(self._optimizer.momentums)}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Assigns what `state` returned."""
        for variable in self.network.weights:
            variable.assign(state[variable.name])
        for index, slot in enumerate(self._optimizer.momentums):
            slot.assign(state[f"momentum_{index}"])

    def train_epoch(
        self, split: Split, epoch: int, num_epochs: int, before_step: Callable[[], None] = lambda: None
    ) -> float:
        """Trains for an epoch and returns the mean loss.

        Args:
            split: To learn from.
            epoch: 0-based.
            num_epochs: Over which the learning rate falls.
            before_step: Called before every step.

        Raises:
            ValueError: If the split does not fill a batch.
            ArithmeticError: If the loss is no longer a number: gates and weights mean nothing then.
        """
        num_batches = len(split) // self.descent.batch_size
        if not num_batches:
            raise ValueError(
                f"`batch_size` must not exceed the {len(split)} images, but got {self.descent.batch_size}."
            )
        batches = split.batches(self.descent.batch_size, shuffle_seed=(self.seed, epoch), drop_remainder=True)
        losses = []
        for index, (images, labels) in enumerate(batches):
            before_step()
            self._optimizer.learning_rate.assign(self.descent.rate_at((epoch + index / num_batches) / num_epochs))
            seed = tf.constant([self.seed, epoch * num_batches + index], tf.int32)
            losses.append(self._step(tf.constant(images, tf.float32), tf.constant(labels), seed))
        mean = float(np.mean([loss.numpy() for loss in losses]))
        if not math.isfinite(mean):
            raise ArithmeticError(
                f"The loss must be finite, but its mean over epoch {epoch} is {mean}. Use a `learning_rate` below "
                f"{self.descent.learning_rate:g}, and look for extreme pixels in the training images."
            )
        return mean

    def _train_step(self, images: Any, labels: Any, seed: Any) -> Any:
        images = self._augmentation.augment(images - self._mean, seed) + self._mean  # what moves in is the mean pixel
        with tf.GradientTape() as tape:
            loss = mean_loss(self.network, images, self.gating.values(), labels, training=True)
        # A cell can lose its last reader, and its weights their gradient, before the network is built anew.
        gradients = tape.gradient(loss, self._variables, unconnected_gradients="zero")
        gradients, _ = tf.clip_by_global_norm(gradients, self.descent.clip_norm)
        decay = [self.descent.l2] * len(self._weights) + [0.0] * len(self.gating.variables)
        pairs = zip(gradients, self._variables, decay, strict=True)
        decayed = [gradient + l2 * variable for gradient, variable, l2 in pairs]
        self._optimizer.apply_gradients(zip(decayed, self._variables, strict=True))
        return loss


def mean_loss(network: keras.Model, images: Any, gates: Sequence[Any], labels: Any, *, training: bool) -> Any:
    """Returns the mean cross-entropy in nats per image.

    Args:
        network: Gated or not.
        images: Raw, float (batch, height, width, channels).
        gates: Its further inputs.
        labels: int32 (batch,).
        training: Whether normalisation uses the statistics of the batch.
    """
    logits = network([images, *gates] if gates else images, training=training)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def train_cells(
    network: keras.Model, task: Task, *, num_epochs: int, seed: int, descent: Descent | None = None
) -> list[float]:
    """Trains a plain network on the training split and returns the loss of every epoch.

    Args:
        network: Trained in place.
        task: What is learned.
        num_epochs: Epochs.
        seed: Of the order of images and of their changes.
        descent: How.
    """
    trainer = CellTrainer(network, task, descent or Descent(), seed)
    return [trainer.train_epoch(task.train, epoch, num_epochs) for epoch in range(num_epochs)]


def correct_answers(network: keras.Model, split: Split, batch_size: int = 500) -> np.ndarray:
    """Returns for every image whether a plain network names its class, bool (num_images,)."""
    answer = tf.function(lambda images: tf.argmax(network(images, training=False), axis=-1), autograph=False)
    found = [answer(tf.constant(images, tf.float32)).numpy() == labels for images, labels in split.batches(batch_size)]
    return np.concatenate(found)
