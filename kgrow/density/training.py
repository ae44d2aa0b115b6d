"""Training with fixed masks."""

from __future__ import annotations

import dataclasses

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import keras, tf
from kgrow.density.network import DensityNetwork
from kgrow.lifecycle import TrainingDivergedError
from kgrow.lifecycle.loss import joint_loss
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


def train(network: DensityNetwork, split: Split, training: Training, seed: int) -> float:
    """Trains a network in place; its masks do not change.

    Args:
        network: As built.
        split: Raw images to learn from.
        training: The numbers of the training.
        seed: Of the order of the images.

    Returns:
        Mean cross-entropy of the last epoch, in nats per image.

    Raises:
        TrainingDivergedError: If the loss of an epoch is not finite.
    """
    batch_size = min(training.batch_size, len(split))
    steps = training.epochs * (len(split) // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(training.learning_rate, steps)
    optimizer = keras.optimizers.Adam(rate, jit_compile=False)
    weights = network.model.trainable_variables
    optimizer.build(weights)

    def train_step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = joint_loss([network(tf.cast(images, tf.float32), training=True)], labels, [1.0], 0.0)
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        network.apply_masks()
        return loss

    step = tf.function(train_step, autograph=False, reduce_retracing=True)
    for epoch in range(training.epochs):
        batches = split.batches(batch_size, shuffle_seed=(seed, epoch), drop_remainder=True)
        loss = float(np.mean([step(tf.constant(images), tf.constant(labels)) for images, labels in batches]))
        if not np.isfinite(loss):
            raise TrainingDivergedError(
                f"The loss must be finite, but its mean over epoch {epoch + 1} is {loss}. A lower `learning_rate` "
                "usually mends it."
            )
    return loss
