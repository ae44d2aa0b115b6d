"""`FineTuner`: lets a pruned model recover."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow.compressing.plan import Plan
from kgrow.lifecycle.loss import joint_loss
from kgrow.network import GrowingNetwork
from kgrow.task import Task


class FineTuner:
    """Trains a model with its masks, by Adam with a rate that falls to zero over half a cosine.

    Every random choice depends on the seed and the epoch or step alone. All layers are trained, with the losses that
    they add themselves, such as weight decay.

    Args:
        network: Trained in place.
        regularizers: By the name of a weight, what maps it to its share of the loss.
        task: Gives the training split; a last, smaller batch of an epoch is left out.
        plan: The numbers of the training.
    """

    def __init__(
        self, network: GrowingNetwork, regularizers: Mapping[str, Callable[[Any], Any]], task: Task, plan: Plan
    ):
        named = network.named_variables()
        self.weights = [variable for variable in named.values() if variable.trainable]
        self.regularized = [(named[name], penalty) for name, penalty in regularizers.items()]
        self.network, self.task, self.augmentation, self.seed = network, task, plan.augmentation, plan.seed
        self.batch_size = min(plan.batch_size, len(task.train))
        self.steps = len(task.train) // self.batch_size
        schedule = keras.optimizers.schedules.CosineDecay(plan.learning_rate, plan.epochs * self.steps)
        self.optimizer = keras.optimizers.Adam(schedule, jit_compile=False)
        self.optimizer.build(self.weights)
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
        with tf.GradientTape() as tape:
            loss = cross_entropy(self.network(images, training=True), labels)
            total = tf.add_n([loss, *(penalty(weight) for weight, penalty in self.regularized)])
        self.optimizer.apply_gradients(zip(tape.gradient(total, self.weights), self.weights, strict=True))
        self.network.apply_masks()
        return loss


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Returns the mean cross-entropy of a tuple of one logits tensor, in nats per example."""
    return joint_loss(logits, labels, tf.ones(1), label_smoothing=0.0)
