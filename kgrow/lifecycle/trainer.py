"""`Trainer`: the optimizer and the traced step of a network that changes its shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow._tfmot import apply_masks
from kgrow.graph import Architecture
from kgrow.lifecycle.loss import joint_loss
from kgrow.lifecycle.preset import Preset
from kgrow.network import GrowingNetwork
from kgrow.pruning.criterion import Batch
from kgrow.task import Augmentation

MOST_WAITING = 2  # of architectures; the traced steps of more would only take memory


class Trainer:
    """Trains a network; after a growth `rebuild` gives it a fresh optimizer that knows the new variables.

    Under a `tf.distribute` strategy, whose scope network and trainer are made and used in, each replica trains an equal
    part of every batch. The step is that of one device, but for batch normalisation: each replica normalises by the
    statistics of its own part, and the moving ones are the means of theirs.

    Args:
        network: Trained in place.
        preset: Optimizer and loss settings.
        augmentation: Applied to scaled images inside the traced step.
        seed: Of the augmentation: each step's draw depends on the seed and the step's number alone.
        class_weights: Factor of the loss of each image, by its class; None for 1.
    """

    def __init__(
        self,
        network: GrowingNetwork,
        preset: Preset,
        augmentation: Augmentation,
        seed: int,
        class_weights: Sequence[float] | None = None,
    ):
        self.network, self.preset, self.augmentation, self.seed = network, preset, augmentation, seed
        self.class_weights = class_weights
        self.optimizer: Any = None
        self.strategy, self.is_distributed = tf.distribute.get_strategy(), tf.distribute.has_strategy()
        self.step_number = 0
        self.rebuild()

    def rebuild(self, momentum: Mapping[str, np.ndarray] | None = None) -> None:
        """Makes optimizer and step anew for the network's present variables.

        A compiled Keras optimizer refuses variables that are added later.

        Args:
            momentum: See `load_momentum`; by default that of variables which are still there.
        """
        if momentum is None:
            momentum = self.momentum() if self.optimizer is not None else {}
        self.trainable = {name: v for name, v in self.network.named_variables().items() if v.trainable}
        preset = self.preset
        self.optimizer = keras.optimizers.SGD(
            preset.learning_rate, preset.momentum, preset.nesterov, global_clipnorm=preset.clip_norm, jit_compile=False
        )
        self.optimizer.build(list(self.trainable.values()))
        self.load_momentum(momentum)
        self._kernels = self.network.kernels()
        images = tf.TensorSpec((None, *self.network.architecture.input_shape), tf.float32)
        self._step = tf.function(
            self._train_step,
            autograph=False,
            input_signature=[
                images,
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((2,), tf.int32),
                tf.TensorSpec((None,), tf.float32),
            ],
        )

    def momentum(self) -> dict[str, np.ndarray]:
        """Returns the optimizer's slot of every trainable variable."""
        return {name: slot.numpy() for name, slot in zip(self.trainable, self.optimizer.momentums, strict=True)}

    def load_momentum(self, momentum: Mapping[str, np.ndarray]) -> None:
        """Assigns slots; variables that are not named start at zero."""
        for name, slot in zip(self.trainable, self.optimizer.momentums, strict=True):
            slot.assign(momentum.get(name, np.zeros(slot.shape, np.float32)))

    def mask_momentum(self) -> None:
        """Zeroes the slots of pruned weights."""
        slots = dict(zip(self.trainable, self.optimizer.momentums, strict=True))
        for kernel in self._kernels:
            slot = slots[f"{kernel.name}/kernel"]
            slot.assign(slot * kernel.mask)

    def train_epoch(
        self,
        batches: Iterable[Batch],
        epoch: int,
        head_weights: np.ndarray,
        num_batches: int,
        on_step: Callable[[int], None] = lambda done: None,
        *,
        has_grown: bool = False,
    ) -> float:
        """Runs one epoch and returns the mean joint loss.

        Args:
            batches: Raw images and labels.
            epoch: 0-based.
            head_weights: Loss weight of each head, float32 (heads,).
            num_batches: Length of `batches`.
            on_step: Called with the number of batches done.
            has_grown: See `Preset.learning_rate_at`.
        """
        weights = tf.constant(head_weights)
        losses = []
        for index, (images, labels) in enumerate(batches):
            rate = self.preset.learning_rate_at(epoch, index / num_batches, has_grown=has_grown)
            self.optimizer.learning_rate.assign(rate)
            seed = tf.constant([self.seed, self.step_number], tf.int32)
            losses.append(self._step(tf.cast(images, tf.float32), tf.constant(labels), seed, weights))
            self.step_number += 1
            on_step(index + 1)
        return float(np.mean([loss.numpy() for loss in losses]))

    def _train_step(self, images: Any, labels: Any, seed: Any, head_weights: Any) -> Any:
        images = self.augmentation.augment(self.network.scale(images), seed)
        update = self._update_replicas if self.is_distributed else self._update
        loss = update(images, labels, head_weights)
        apply_masks(self._kernels)  # of all replicas at once: inside one, variables cannot be assigned
        return loss

    def _update_replicas(self, images: Any, labels: Any, head_weights: Any) -> Any:
        """Makes one optimizer step of all replicas together, each with its part of the batch."""

        @tf.autograph.experimental.do_not_convert
        def update() -> Any:
            context = tf.distribute.get_replica_context()
            size = tf.shape(labels)[0] // context.num_replicas_in_sync
            begin = context.replica_id_in_sync_group * size
            return self._update(images[begin : begin + size], labels[begin : begin + size], head_weights)

        return self.strategy.reduce("mean", self.strategy.run(update), axis=None)

    def _update(self, images: Any, labels: Any, head_weights: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = self.network.call_scaled(images, training=True)
            loss = joint_loss(
                logits,
                labels,
                head_weights,
                self.preset.label_smoothing,
                self.preset.distillation,
                self.class_weights,
            )
        variables = list(self.trainable.values())
        gradients = tape.gradient(loss, variables)
        decayed = [
            gradient + self.preset.l2 * variable for gradient, variable in zip(gradients, variables, strict=True)
        ]
        if self.is_distributed:  # the optimizer adds up what the replicas give
            decayed = [gradient / self.strategy.num_replicas_in_sync for gradient in decayed]
        self.optimizer.apply_gradients(zip(decayed, variables, strict=True))
        return loss


class TrainerPool:
    """The last trainers, which wait for the next network of the same architecture.

    Tracing a step takes as long as many steps of a small network, and TensorFlow does not give back all the memory of
    a traced function: trials that follow each other share one.
    """

    def __init__(self) -> None:
        self._waiting: dict[Architecture, Trainer] = {}

    def take(self, architecture: Architecture) -> Trainer | None:
        """Returns a trainer of an architecture, whatever its weights are; None if none is waiting."""
        return self._waiting.pop(architecture, None)

    def give_back(self, trainer: Trainer) -> None:
        """Keeps a trainer whose network is no longer needed."""
        self._waiting[trainer.network.architecture] = trainer
        while len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
