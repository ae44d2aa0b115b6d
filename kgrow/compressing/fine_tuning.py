"""`Recovery`: prunes a user's model step by step and fine-tunes it in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow.compressing.plan import CompressionPlan
from kgrow.compressing.pruning import cross_entropy, prune_before
from kgrow.graph.keras_models import KerasModel
from kgrow.network import GrowingNetwork
from kgrow.pruning.channels import ChannelGroups
from kgrow.reporting.wording import grouped, percent
from kgrow.run import Run
from kgrow.task import Task
from kgrow.training import Observer, ResumableLoop, TrainingStep, accuracy_to_reach, check_finite, half_cosine

BEST = "best/"


class Recovery(ResumableLoop):
    """Prunes a model and trains it with its masks, by Adam with a rate that falls to zero over half a cosine.

    Every random choice depends only on the seed and the epoch or step. All layers are trained, including the losses
    that they add themselves, such as weight decay. `best` is the state of the epoch that is kept.

    Args:
        network: Network to prune and train in place.
        groups: Channel groups of the network; see `layer_groups`.
        given: Model that the network was made from.
        task: Data with the images; a last, smaller batch of an epoch is left out.
        plan: Settings of the training.
        observer: Observer that is notified of events.
        folder: Folder where the epochs are written; None writes nothing.
    """

    def __init__(
        self,
        network: GrowingNetwork,
        groups: ChannelGroups,
        given: KerasModel,
        task: Task,
        plan: CompressionPlan,
        observer: Observer,
        folder: Run | None = None,
    ):
        super().__init__(plan.epochs, folder, observer)
        self.network, self.groups, self.task, self.plan = network, groups, task, plan
        self.best, self.highest = network.state(), 0.0
        self.batch_size = min(plan.batch_size, len(task.train))
        named, mean = network.named_variables(), tf.constant(task.pixel_mean, tf.float32)
        regularized = [(named[name], penalty) for name, penalty in given.regularizers.items()]
        self.step = TrainingStep(
            {name: variable for name, variable in named.items() if variable.trainable},
            lambda images, labels: cross_entropy(network(images, training=True), labels),
            keras.optimizers.Adam(plan.learning_rate, jit_compile=False),
            prepare=lambda images, seed: plan.augmentation.augment_around(images, seed, mean),
            penalty=(lambda: tf.add_n([penalty(weight) for weight, penalty in regularized])) if regularized else None,
            finish=network.apply_masks,
            signature=[
                tf.TensorSpec((None, *task.input_shape), tf.float32),
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((2,), tf.int32),
            ],
            seed=plan.seed,
        )

    @property
    def num_steps(self) -> int:
        """See `EpochLoop.num_steps`."""
        return len(self.task.train) // self.batch_size

    def begin_epoch(self, epoch: int) -> None:
        """See `EpochLoop.begin_epoch`; runs the pruning that is due."""
        if prune_before(epoch, self.network, self.groups, self.task.train, self.plan):
            left = self.groups.alive({kernel.name: kernel.mask.numpy() for kernel in self.network.kernels()})
            self.highest = 0.0
            kept = f"{grouped(self.network.kept_params())} of {grouped(self.network.architecture.kernel_params())}"
            self.observer.note(f"pruned to {int(left.sum())} of {len(left)} channels, {kept} connections")

    def train_epoch(self, epoch: int, on_step: Callable[[int], None]) -> None:
        """See `EpochLoop.train_epoch`."""
        plan, steps = self.plan, self.num_epochs * self.num_steps
        self.network.start_draws(self.step.number)
        loss = self.step.epoch(
            self.task.train.batches(self.batch_size, shuffle_seed=(plan.seed, epoch), drop_remainder=True),
            lambda number: plan.learning_rate * half_cosine((epoch * self.num_steps + number) / steps),
            on_step=on_step,
        )
        labels, logits = self.task.validation.labels, self.network.logits(self.task.validation.images)[0]
        check_finite(epoch, loss, logits)
        found = float(np.mean(logits.argmax(axis=-1) == labels))
        self.observer.note(f"epoch {epoch + 1} of {self.num_epochs}: validation {percent(found)} %, loss {loss:.3f}")
        if found >= accuracy_to_reach(self.highest, len(labels)):
            self.best = self.network.state()
        self.highest = max(self.highest, found)

    def state(self) -> dict[str, np.ndarray]:
        """See `ResumableLoop.state`."""
        best = {f"{BEST}{name}": value for name, value in self.best.items()}
        return {**self.network.state(), **self.step.slots(), **best}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """See `ResumableLoop.load_state`."""
        self.network.load_state(state)
        self.step.load_slots(state)
        self.best = {name.removeprefix(BEST): value for name, value in state.items() if name.startswith(BEST)}

    def progress(self) -> dict[str, Any]:
        """See `ResumableLoop.progress`."""
        return {"step": self.step.number, "highest": self.highest}

    def load_progress(self, progress: Mapping[str, Any]) -> None:
        """See `ResumableLoop.load_progress`."""
        self.step.number, self.highest = progress["step"], progress["highest"]
