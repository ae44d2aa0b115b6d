"""`Trainer`: the optimizer and the traced step of a network whose structure changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow._tfmot import apply_masks
from kgrow.graph import Architecture
from kgrow.lifecycle.preset import Preset
from kgrow.network import FLOAT32, GrowingNetwork
from kgrow.task import Augmentation
from kgrow.training import TrainingStep, joint_loss
from kgrow.training.step import Batches

MOST_WAITING = 2  # architectures; traced steps of more would only take memory


class Trainer:
    """Trains a network; after a structural change `rebuild` creates a step for the new variables.

    Args:
        network: Network to train in place.
        preset: Optimizer and loss settings.
        augmentation: Augmentation of scaled images inside the traced step.
        seed: Random seed of the augmentation; each step's draw depends only on the seed and the step's number.
        class_weights: Loss factor of each image, by its class; None for 1.
        precision: Precision of the training steps; see `GrowingNetwork.call_scaled`.

    Attributes:
        step: Current training step.
    """

    step: TrainingStep

    def __init__(
        self,
        network: GrowingNetwork,
        preset: Preset,
        augmentation: Augmentation,
        seed: int,
        class_weights: Sequence[float] | None = None,
        precision: str = FLOAT32,
    ):
        self.network, self.preset, self.augmentation, self.seed = network, preset, augmentation, seed
        self.class_weights, self.precision = class_weights, precision
        self._build({}, 0)

    def rebuild(self, momentum: Mapping[str, np.ndarray] | None = None) -> None:
        """Creates optimizer and step for the network's current variables.

        A compiled Keras optimizer does not accept variables that are added later.

        Args:
            momentum: Momentum; see `load_momentum`. By default that of the variables that still exist.
        """
        self._build(self.momentum() if momentum is None else momentum, self.step.number)

    def _build(self, momentum: Mapping[str, np.ndarray], number: int) -> None:
        preset, network, kernels = self.preset, self.network, self.network.kernels()
        trainable = {name: v for name, v in network.named_variables().items() if v.trainable}
        is_even = preset.fresh_rate == 1.0
        self._block_rates = [] if is_even else [tf.Variable(1.0, trainable=False) for _ in network.blocks]
        rates = {
            name: rate
            for block, rate in zip(network.blocks, self._block_rates, strict=False)
            for name in block.named_variables()
            if name in trainable
        }
        self.step = TrainingStep(
            trainable,
            self._loss,
            keras.optimizers.SGD(
                preset.learning_rate,
                preset.momentum,
                preset.nesterov,
                global_clipnorm=preset.clip_norm,
                jit_compile=False,
            ),
            prepare=lambda images, seed: self.augmentation.augment(network.scale(images), seed),
            decay=dict.fromkeys(trainable, preset.l2),
            masks={f"{kernel.name}/kernel": kernel.mask for kernel in kernels},
            rates=rates,
            finish=lambda: apply_masks(kernels),
            signature=[
                tf.TensorSpec((None, *network.architecture.input_shape), tf.float32),
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((2,), tf.int32),
                tf.TensorSpec((None,), tf.float32),
            ],
            seed=self.seed,
        )
        self.step.number = number
        self.load_momentum(momentum)

    def _loss(self, images: Any, labels: Any, head_weights: Any) -> Any:
        logits, preset = self.network.call_scaled(images, training=True, precision=self.precision), self.preset
        return joint_loss(logits, labels, head_weights, preset.label_smoothing, preset.distillation, self.class_weights)

    def momentum(self) -> dict[str, np.ndarray]:
        """Returns the optimizer's slot of every trainable variable."""
        return {name: slot.numpy() for name, slot in self._slots().items()}

    def load_momentum(self, momentum: Mapping[str, np.ndarray]) -> None:
        """Assigns slots; variables that are not named start at zero."""
        for name, slot in self._slots().items():
            slot.assign(momentum.get(name, np.zeros(slot.shape, np.float32)))

    def mask_momentum(self) -> None:
        """Sets the slots of pruned weights to zero."""
        slots = self._slots()
        for kernel in self.network.kernels():
            slot = slots[f"{kernel.name}/kernel"]
            slot.assign(slot * kernel.mask)

    def _slots(self) -> dict[str, Any]:
        return dict(zip(self.step.variables, self.step.optimizer.momentums, strict=True))

    def train_epoch(
        self,
        batches: Batches,
        epoch: int,
        head_weights: np.ndarray,
        num_batches: int,
        on_step: Callable[[int], None] = lambda done: None,
        *,
        births: Sequence[int] = (),
    ) -> float:
        """Runs one epoch and returns the mean joint loss.

        Args:
            batches: Raw images and labels.
            epoch: Number of the epoch, from 0.
            head_weights: Loss weight of each head, float32 (heads,).
            num_batches: Length of `batches`.
            on_step: Function called with the number of batches done.
            births: Epoch before which each block was appended; see `Preset.learning_rate_at` and `block_rate_at`.
        """
        self.network.start_draws(self.step.number)
        has_grown = epoch > 0 and epoch in births
        for rate, birth in zip(self._block_rates, births, strict=False):
            rate.assign(self.preset.block_rate_at(epoch, birth))

        def rate_at(number: int) -> float:
            return self.preset.learning_rate_at(epoch, number / num_batches, has_grown=has_grown)

        return self.step.epoch(batches, rate_at, inputs=(tf.constant(head_weights),), on_step=on_step)


class TrainerPool:
    """The latest trainers, kept for the next network of the same architecture.

    Tracing a step takes as long as many steps of a small network, and TensorFlow does not free all the memory of a
    traced function. Consecutive trials therefore share one.
    """

    def __init__(self) -> None:
        self._waiting: dict[Architecture, Trainer] = {}

    def take(self, architecture: Architecture) -> Trainer | None:
        """Returns a trainer of an architecture, with any weights; None if there is none."""
        return self._waiting.pop(architecture, None)

    def give_back(self, trainer: Trainer) -> None:
        """Keeps a trainer whose network is no longer needed."""
        if not trainer.network.blocks:
            return
        self._waiting[trainer.network.architecture] = trainer
        while len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]

    def exchange(self, trainer: Trainer, architecture: Architecture, augmentation: Augmentation) -> Trainer:
        """Keeps a trainer in the middle of a training, and returns one for another network.

        Its step goes on counting; weights and slots are new. The next trial begins with the first network again.
        """
        network = GrowingNetwork(architecture, seed=trainer.network.seed)
        same = (trainer.seed, trainer.class_weights, trainer.precision)
        other = Trainer(network, trainer.preset, augmentation, *same)
        other.step.number = trainer.step.number
        self.give_back(trainer)
        return other
