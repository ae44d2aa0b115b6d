"""`FineTuner`: lets a pruned model recover."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow.compressing.masked import MaskedModel
from kgrow.compressing.plan import Plan
from kgrow.lifecycle.loss import joint_loss
from kgrow.task import Task


class FineTuner:
    """Trains a model with its masks, by Adam with a rate that falls to zero over half a cosine.

    Every random choice depends on the seed and the epoch or step alone. All layers are trained, with the losses that
    they add themselves, such as weight decay.

    Args:
        network: Trained in place.
        task: Gives the training split; a last, smaller batch of an epoch is left out.
        plan: The numbers of the training.
    """

    def __init__(self, network: MaskedModel, task: Task, plan: Plan):
        self.network, self.task, self.augmentation, self.seed = network, task, plan.augmentation, plan.seed
        self.batch_size = min(plan.batch_size, len(task.train))
        self.steps = len(task.train) // self.batch_size
        schedule = keras.optimizers.schedules.CosineDecay(plan.learning_rate, plan.epochs * self.steps)
        self.optimizer = keras.optimizers.Adam(schedule, jit_compile=False)
        self.optimizer.build(network.model.trainable_variables)
        images = tf.TensorSpec((None, *task.input_shape), tf.float32)
        labels, seeds = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((2,), tf.int32)
        self._step = tf.function(self._train_step, autograph=False, input_signature=[images, labels, seeds])

    def train_epoch(self, epoch: int) -> float:
        """Runs one epoch, 0-based, and returns the mean loss in nats per example."""
        batches = self.task.train.batches(self.batch_size, shuffle_seed=(self.seed, epoch), drop_remainder=True)
        losses = []
        for number, (images, labels) in enumerate(batches):
            seed = tf.constant([self.seed, epoch * self.steps + number], tf.int32)
            losses.append(self._step(tf.cast(images, tf.float32), tf.constant(labels), seed))
        return float(np.mean([loss.numpy() for loss in losses]))

    def _train_step(self, images: Any, labels: Any, seed: Any) -> Any:
        # Augmentation fills with zeros, which for it is the mean pixel, so it works on centred images.
        mean = tf.constant(self.task.pixel_mean, tf.float32)
        images = self.augmentation.augment(images - mean, seed) + mean
        weights = self.network.model.trainable_variables
        with tf.GradientTape() as tape:
            loss = cross_entropy(self.network(images, training=True), labels)
            total = tf.add_n([loss, *self.network.model.losses])
        self.optimizer.apply_gradients(zip(tape.gradient(total, weights), weights, strict=True))
        self.network.apply_masks()
        return loss


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Returns the mean cross-entropy of a tuple of one logits tensor, in nats per example."""
    return joint_loss(logits, labels, tf.ones(1), label_smoothing=0.0)
