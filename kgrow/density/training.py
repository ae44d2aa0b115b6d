"""Training with fixed masks."""

from __future__ import annotations

import dataclasses

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import keras, tf
from kgrow.lifecycle import TrainingDivergedError
from kgrow.lifecycle.loss import joint_loss
from kgrow.network import GrowingNetwork
from kgrow.task import Split


@dataclasses.dataclass(frozen=True)
class Training:
    """How every network of a search is trained: by Adam, with a rate that falls to zero over half a cosine.

    Args:
        epochs: Length; the weights after the last one count.
        batch_size: Images per step; a last, smaller batch of an epoch is left out.
        learning_rate: Of Adam at the beginning.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        check_positive_int(self.epochs, "epochs")
        check_positive_int(self.batch_size, "batch_size")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be above 0, but got {self.learning_rate!r}. A usual one is 0.002.")


class Trainer:
    """A network while it is trained, epoch by epoch; its masks do not change.

    Args:
        network: Trained in place.
        split: Raw images to learn from.
        training: The numbers of the training.
        seed: Of the order of the images.

    Attributes:
        epoch: How many have been trained.
    """

    def __init__(self, network: GrowingNetwork, split: Split, training: Training, seed: int):
        self.network, self.split, self.training, self.seed = network, split, training, seed
        self.epoch = 0
        self._batch_size = min(training.batch_size, len(split))
        steps = training.epochs * (len(split) // self._batch_size)
        rate = keras.optimizers.schedules.CosineDecay(training.learning_rate, steps)
        self._optimizer = keras.optimizers.Adam(rate, jit_compile=False)
        self._weights = [variable for variable in network.named_variables().values() if variable.trainable]
        self._optimizer.build(self._weights)
        self._step = tf.function(self._train_step, autograph=False, reduce_retracing=True)

    def train_epoch(self) -> float:
        """Returns the mean cross-entropy of one more epoch, in nats per image.

        Raises:
            TrainingDivergedError: If it is not finite.
        """
        batches = self.split.batches(self._batch_size, shuffle_seed=(self.seed, self.epoch), drop_remainder=True)
        loss = float(np.mean([self._step(tf.constant(images), tf.constant(labels)) for images, labels in batches]))
        self.epoch += 1
        if not np.isfinite(loss):
            raise TrainingDivergedError(
                f"The loss must be finite, but its mean over epoch {self.epoch} is {loss}. A lower `learning_rate` "
                "usually mends it."
            )
        return loss

    def state(self) -> dict[str, np.ndarray]:
        """Returns everything that the next epoch depends on, by name."""
        return self.network.state() | {name: variable.numpy() for name, variable in self._slots().items()}

    def load_state(self, state: dict[str, np.ndarray], epoch: int) -> None:
        """Goes on where a trainer of the same network was after some epochs."""
        self.network.load_state(state)
        for name, variable in self._slots().items():
            variable.assign(state[name])
        self.epoch = epoch

    def _slots(self) -> dict[str, tf.Variable]:
        return {f"optimizer/{index}": variable for index, variable in enumerate(self._optimizer.variables)}

    def _train_step(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = joint_loss(self.network(images, training=True), labels, [1.0], 0.0)
        self._optimizer.apply_gradients(zip(tape.gradient(loss, self._weights), self._weights, strict=True))
        self.network.apply_masks()
        return loss


def train(network: GrowingNetwork, split: Split, training: Training, seed: int) -> float:
    """Trains a network in place, all epochs; see `Trainer`.

    Returns:
        Mean cross-entropy of the last epoch, in nats per image.
    """
    trainer = Trainer(network, split, training, seed)
    while trainer.epoch < training.epochs:
        loss = trainer.train_epoch()
    return loss
