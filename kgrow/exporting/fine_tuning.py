"""`FineTuning`: a few epochs of training that adapt a network to 8 bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import keras, tf
from kgrow.exporting.quantized import QuantizedNetwork
from kgrow.exporting.verify import standard_error
from kgrow.network.early_exit import softmax
from kgrow.run import Run
from kgrow.task import Augmentation, Task
from kgrow.training import Observer, ResumableLoop, TrainingStep, half_cosine, joint_loss

FINE_TUNING = "fine_tuning"  # folder of a run with the epochs of unfinished exports
BATCH = 256  # images per batch, without gradients
CERTAIN = 2.0  # standard errors: with a few dozen images, one of several epochs leads by one image by chance


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The validation results of a network.

    Args:
        correct: Fraction of the heads that are correct, per image.
        loss: Mean cross-entropy over images and heads.
    """

    correct: np.ndarray
    loss: float

    @classmethod
    def of(cls, logits: np.ndarray, labels: np.ndarray) -> Evaluation:
        """Evaluates logits (heads, num_images, num_classes)."""
        likelihood = softmax(logits)[:, np.arange(len(labels)), labels]
        loss = -np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean()
        return cls(np.mean(logits.argmax(axis=-1) == labels, axis=0), float(loss))

    def is_better(self, other: Evaluation) -> bool:
        """Returns whether it is certainly correct on more images than another, or on no fewer with a lower loss."""
        gain = self.correct - other.correct
        is_certain = gain.mean() > CERTAIN * standard_error(gain)
        return bool(is_certain or (gain.mean() >= 0 and self.loss < other.loss))


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """Trains the kernels and biases of a quantized network with simulated rounding; pruned connections stay zero.

    The ranges of activations stay as calibrated and batch normalization stays folded. The network stays unchanged
    unless an epoch is better on the validation images; see `Evaluation.is_better`.

    Args:
        task: Data with training images, and the validation images that choose the epoch.
        exit_indices: Requested heads; each has the same weight.
        epochs: Number of passes over the training images.
        learning_rate: Peak rate of Adam; it falls to zero over half a cosine.
        batch_size: Images per step.
        augmentation: Augmentation of training images; by default chosen for the data.
        seed: Random seed of data order and augmentation.
        class_weights: Loss factor of each image, by its class; None for 1.
        folder: Folder where the epochs are written, so that they can be resumed; None writes nothing.
        observer: Observer that is notified of every step and epoch.

    References:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
        CVPR 2018, https://arxiv.org/abs/1712.05877, section 3.
    """

    task: Task
    exit_indices: Sequence[int]
    epochs: int
    learning_rate: float = 3e-4
    batch_size: int = 64
    augmentation: Augmentation | None = None
    seed: int = 0
    class_weights: tuple[float, ...] | None = None
    folder: Run | None = None
    observer: Observer | None = None

    def __post_init__(self) -> None:
        check_positive_int(self.epochs, "epochs")
        check_positive_int(self.batch_size, "batch_size")

    def __call__(self, quantized: QuantizedNetwork) -> None:
        """Trains the network in place."""
        loop = _Rounded(quantized, self)
        loop.go_on(loop.restore())
        loop.assign(loop.best)


class _Rounded(ResumableLoop):
    """Trains a quantized network; at the end it has the weights of the best epoch."""

    def __init__(self, quantized: QuantizedNetwork, plan: FineTuning):
        super().__init__(plan.epochs, plan.folder, plan.observer, "fine-tuning")
        self.plan, self.task, self.quantized = plan, plan.task, quantized
        self.variables = dict(quantized.folded.variables)
        self.batch_size = min(plan.batch_size, len(self.task.train))
        augmentation = plan.augmentation or Augmentation.suited_to(self.task)
        mean, masks = tf.constant(quantized.folded.architecture.scaling.mean), quantized.folded.masks
        weights = tf.ones(len(plan.exit_indices))

        def loss(images: Any, labels: Any) -> Any:
            return joint_loss(self._logits(images), labels, weights, 0.0, class_weights=plan.class_weights)

        def mask() -> None:
            for name, values in masks.items():
                kernel = self.variables[f"{name}/kernel"]
                kernel.assign(kernel * tf.constant(values))

        self.step = TrainingStep(
            self.variables,
            loss,
            keras.optimizers.Adam(plan.learning_rate, jit_compile=False),
            prepare=lambda images, seed: augmentation.augment_around(images, seed, mean),
            finish=mask,
            seed=plan.seed,
        )
        self._evaluate = tf.function(lambda images: tf.stack(self._logits(images)), autograph=False)
        self.best, self.best_evaluation = self._weights(), self._evaluation()

    @property
    def num_steps(self) -> int:
        """See `EpochLoop.num_steps`."""
        return len(self.task.train) // self.batch_size

    def train_epoch(self, epoch: int, on_step: Callable[[int], None]) -> None:
        """See `EpochLoop.train_epoch`."""
        plan, steps = self.plan, self.num_epochs * self.num_steps
        self.step.epoch(
            self.task.train.batches(self.batch_size, shuffle_seed=(plan.seed, epoch, 2), drop_remainder=True),
            lambda number: plan.learning_rate * half_cosine((epoch * self.num_steps + number) / steps),
            on_step=on_step,
        )
        evaluation = self._evaluation()
        is_better = evaluation.is_better(self.best_evaluation)
        if is_better:
            self.best, self.best_evaluation = self._weights(), evaluation
        self.observer.note(
            f"fine-tuning with 8 bits, epoch {epoch + 1} of {self.num_epochs}: validation "
            f"{100 * evaluation.correct.mean():.1f} %, {'the best so far' if is_better else 'no better'}"
        )

    def assign(self, weights: Mapping[str, np.ndarray]) -> None:
        """Assigns the trained weights."""
        for name, variable in self.variables.items():
            variable.assign(weights[name])

    def state(self) -> dict[str, np.ndarray]:
        """See `ResumableLoop.state`."""
        best = {f"best/{name}": value for name, value in self.best.items()}
        return {**self._weights(), **best, **self.step.slots(), "best_correct": self.best_evaluation.correct}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """See `ResumableLoop.load_state`."""
        self.assign(state)
        self.best = {name: state[f"best/{name}"] for name in self.variables}
        self.step.load_slots(state)
        self.best_evaluation = Evaluation(state["best_correct"], self.best_evaluation.loss)

    def progress(self) -> dict[str, Any]:
        """See `ResumableLoop.progress`."""
        return {"step": self.step.number, "best_loss": self.best_evaluation.loss}

    def load_progress(self, progress: Mapping[str, Any]) -> None:
        """See `ResumableLoop.load_progress`."""
        self.step.number = progress["step"]
        self.best_evaluation = Evaluation(self.best_evaluation.correct, progress["best_loss"])

    def _weights(self) -> dict[str, np.ndarray]:
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def _logits(self, images: Any) -> list[Any]:
        logits = self.quantized.heads(images)
        return [logits[index] for index in self.plan.exit_indices]

    def _evaluation(self) -> Evaluation:
        images, labels = self.task.validation.images, self.task.validation.labels
        starts = range(0, len(images), BATCH)
        parts = [self._evaluate(tf.cast(images[start : start + BATCH], tf.float32)) for start in starts]
        return Evaluation.of(np.concatenate([part.numpy() for part in parts], axis=1), labels)
