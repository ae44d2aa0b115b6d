"""`FineTuning`: a few epochs in which a network gets used to 8 bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import keras, tf
from kgrow.exporting.quantized import QuantizedNetwork
from kgrow.exporting.verify import standard_error
from kgrow.lifecycle.loss import joint_loss
from kgrow.network.early_exit import softmax
from kgrow.task import Augmentation, Task

CERTAIN = 2.0  # standard errors: by one image more of a few dozen, one of several epochs leads by luck


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a network does on the validation images.

    Args:
        correct: Fraction of the heads that are right, per image.
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
        """Whether it is right on certainly more images than another one, or on no fewer with a lower loss."""
        gain = self.correct - other.correct
        is_certain = gain.mean() > CERTAIN * standard_error(gain)
        return bool(is_certain or (gain.mean() >= 0 and self.loss < other.loss))


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """Trains the kernels and biases of a quantized network, rounding simulated, pruned connections kept at zero.

    The ranges of activations stay as calibrated and batch normalisation stays folded. The network stays as it came
    unless an epoch is better on the validation images; see `Evaluation.is_better`.

    Args:
        task: Training images, and the validation images that choose the epoch.
        exit_indices: The heads that are wanted; each has the same weight.
        epochs: Passes over the training images.
        learning_rate: Peak rate of Adam; falls to zero with half a cosine.
        batch_size: Images per step.
        augmentation: Of training images; by default what suits the data.
        seed: Of data order and augmentation.
        class_weights: Factor of the loss of each image, by its class; None for 1.

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

    def __post_init__(self) -> None:
        check_positive_int(self.epochs, "epochs")
        check_positive_int(self.batch_size, "batch_size")

    def __call__(self, quantized: QuantizedNetwork) -> None:
        """Trains in place."""
        folded = quantized.folded
        variables = list(folded.variables.values())
        batch_size = min(self.batch_size, len(self.task.train))
        steps = len(self.task.train) // batch_size
        schedule = keras.optimizers.schedules.CosineDecay(self.learning_rate, self.epochs * steps)
        optimizer = keras.optimizers.Adam(schedule, jit_compile=False)
        optimizer.build(variables)
        step = self._step(quantized, variables, optimizer)
        evaluate = tf.function(lambda images: tf.stack(self._wanted(quantized.heads(images))), autograph=False)
        best, best_evaluation = [v.numpy() for v in variables], self._evaluation(evaluate)
        for epoch in range(self.epochs):
            batches = self.task.train.batches(batch_size, shuffle_seed=(self.seed, epoch, 2), drop_remainder=True)
            for number, (images, labels) in enumerate(batches):
                step(images, labels, tf.constant([self.seed, epoch * steps + number]))
            evaluation = self._evaluation(evaluate)
            if evaluation.is_better(best_evaluation):
                best, best_evaluation = [v.numpy() for v in variables], evaluation
        for variable, value in zip(variables, best, strict=True):
            variable.assign(value)

    def _step(self, quantized: QuantizedNetwork, variables: Sequence[Any], optimizer: Any) -> Any:
        augmentation = self.augmentation or Augmentation.suited_to(self.task)
        scaling = quantized.folded.architecture.scaling
        masks = {name: tf.constant(mask) for name, mask in quantized.folded.masks.items()}
        weights = tf.ones(len(self.exit_indices))

        @tf.function(autograph=False)
        def step(images: Any, labels: Any, seed: Any) -> None:
            # Augmentation fills with zeros, which for it is the mean pixel, so it works on centred images.
            centred = tf.cast(images, tf.float32) - tf.constant(scaling.mean)
            images = augmentation.augment(centred, seed) + tf.constant(scaling.mean)
            with tf.GradientTape() as tape:
                logits = self._wanted(quantized.heads(images))
                loss = joint_loss(logits, labels, weights, 0.0, class_weights=self.class_weights)
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            for name, mask in masks.items():
                kernel = quantized.folded.variables[f"{name}/kernel"]
                kernel.assign(kernel * mask)

        return step

    def _wanted(self, logits: Sequence[Any]) -> list[Any]:
        return [logits[index] for index in self.exit_indices]

    def _evaluation(self, evaluate: Any) -> Evaluation:
        images, labels = self.task.validation.images, self.task.validation.labels
        parts = [evaluate(tf.cast(images[start : start + 256], tf.float32)) for start in range(0, len(images), 256)]
        logits = np.concatenate([part.numpy() for part in parts], axis=1)
        return Evaluation.of(logits, labels)
