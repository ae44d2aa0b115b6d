"""`TrainingStep`: the step of every training, and an epoch of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import keras, tf

Batches = Iterable[tuple[np.ndarray, np.ndarray]]


class TrainingDivergedError(ArithmeticError):
    """An error for a loss that is no longer a number."""


class TrainingStep:
    """Prepares the images, follows the gradient of the loss and keeps pruned weights at zero.

    Under a `tf.distribute` strategy, in whose scope variables and step must be made and used, each replica trains an
    equal part of every batch. The step equals that of one device, except for batch normalization: each replica
    normalizes by the statistics of its own part, and the moving statistics are the means over replicas.

    Args:
        variables: Trained variables, by name.
        loss: Function that maps images, labels and further inputs to the mean loss, which is reported.
        optimizer: New optimizer, with its clipping; every step sets its learning rate.
        prepare: Function that changes raw images by a seed, int32 (2,): scales and augments them.
        decay: Coupled weight decay by name: before clipping, the gradient of a weight gains this factor times the
            weight.
        masks: {0, 1} masks by name. The gradient of a masked weight is zero before clipping: it cannot move, so it must
            not count in the norm that bounds how far the others do.
        rates: Factor on the learning rate by name, a number or a scalar variable; 1 where there is none. Each step's
            change of the weight is multiplied by it, after clipping, with any optimizer.
        penalty: Function that returns a term whose gradient is added to the loss's, but which is not reported.
        finish: Function called after each step, in its graph: applies masks.
        signature: Shapes of images, labels, seed and inputs; with None other shapes are traced again.
        seed: Random seed of the draws of `prepare`; those of a step depend only on the seed and the step's number.
    """

    def __init__(  # noqa: PLR0913 - what trainings differ in; all but three are keywords with a default
        self,
        variables: Mapping[str, Any],
        loss: Callable[..., Any],
        optimizer: keras.optimizers.Optimizer,
        *,
        prepare: Callable[[Any, Any], Any] = lambda images, seed: images,
        decay: Mapping[str, float] | None = None,
        masks: Mapping[str, Any] | None = None,
        rates: Mapping[str, Any] | None = None,
        penalty: Callable[[], Any] | None = None,
        finish: Callable[[], None] = lambda: None,
        signature: Sequence[Any] | None = None,
        seed: int = 0,
    ):
        self.variables, self.optimizer, self.seed, self.number = dict(variables), optimizer, seed, 0
        self._loss, self._prepare, self._penalty, self._finish = loss, prepare, penalty, finish
        self._decay = [(decay or {}).get(name, 0.0) for name in self.variables]
        self._masks = dict(masks or {})
        self._rates = [(self.variables[name], rate) for name, rate in (rates or {}).items()]
        self._strategy, self._is_distributed = tf.distribute.get_strategy(), tf.distribute.has_strategy()
        optimizer.build(list(self.variables.values()))
        self._step = tf.function(self._whole, autograph=False, input_signature=signature)

    @property
    def num_traces(self) -> int:
        """Number of traces of the step."""
        return int(self._step.experimental_get_tracing_count())

    def __call__(self, images: Any, labels: Any, *inputs: Any) -> Any:
        """Makes one step and returns its loss, a tensor."""
        seed = tf.constant([self.seed, self.number], tf.int32)
        self.number += 1
        return self._step(tf.cast(images, tf.float32), tf.constant(labels), seed, *inputs)

    def epoch(
        self,
        batches: Batches,
        rates: Callable[[int], float],
        *,
        inputs: Sequence[Any] = (),
        before_step: Callable[[], None] = lambda: None,
        on_step: Callable[[int], None] = lambda done: None,
    ) -> float:
        """Makes a step with every batch and returns the mean loss.

        Args:
            batches: Raw images and labels.
            rates: Function that maps the number of a batch to the learning rate.
            inputs: Further inputs of the loss.
            before_step: Function called before every step.
            on_step: Function called after every step with the number of batches done.
        """
        losses = []
        for number, (images, labels) in enumerate(batches):
            before_step()
            self.optimizer.learning_rate.assign(rates(number))
            losses.append(self(images, labels, *inputs))
            on_step(number + 1)
        return float(np.mean([loss.numpy() for loss in losses]))

    def slots(self) -> dict[str, np.ndarray]:
        """Returns the optimizer's state between steps, by number."""
        return {f"optimizer/{index}": variable.numpy() for index, variable in enumerate(self.optimizer.variables)}

    def load_slots(self, state: Mapping[str, np.ndarray]) -> None:
        """Assigns the values that `slots` returned."""
        for index, variable in enumerate(self.optimizer.variables):
            variable.assign(state[f"optimizer/{index}"])

    def _whole(self, images: Any, labels: Any, seed: Any, *inputs: Any) -> Any:
        images = self._prepare(images, seed)
        before = [tf.identity(variable) for variable, _ in self._rates]
        loss = (self._replicas if self._is_distributed else self._update)(images, labels, *inputs)
        # For all replicas at once: inside one, variables cannot be assigned.
        for (variable, rate), old in zip(self._rates, before, strict=True):
            variable.assign(old + rate * (variable - old))
        self._finish()
        return loss

    def _replicas(self, images: Any, labels: Any, *inputs: Any) -> Any:
        """Makes one optimizer step of all replicas together, each with its part of the batch."""

        @tf.autograph.experimental.do_not_convert
        def update() -> Any:
            context = tf.distribute.get_replica_context()
            size = tf.shape(labels)[0] // context.num_replicas_in_sync
            begin = context.replica_id_in_sync_group * size
            return self._update(images[begin : begin + size], labels[begin : begin + size], *inputs)

        return self._strategy.reduce("mean", self._strategy.run(update), axis=None)

    def _update(self, images: Any, labels: Any, *inputs: Any) -> Any:
        variables = list(self.variables.values())
        with tf.GradientTape() as tape:
            loss = self._loss(images, labels, *inputs)
            total = loss if self._penalty is None else loss + self._penalty()
        # A variable whose last reader was removed has no gradient.
        gradients = tape.gradient(total, variables, unconnected_gradients="zero")
        pairs = zip(gradients, variables, self._decay, strict=True)
        gradients = [gradient + decay * variable if decay else gradient for gradient, variable, decay in pairs]
        named = zip(self.variables, gradients, strict=True)
        gradients = [gradient * self._masks[name] if name in self._masks else gradient for name, gradient in named]
        if self._is_distributed:  # the optimizer sums the replicas' gradients
            gradients = [gradient / self._strategy.num_replicas_in_sync for gradient in gradients]
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss


def half_cosine(progress: float) -> float:
    """Returns the factor of the learning rate at a progress in [0, 1] of a training, from 1 to 0."""
    return 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def check_finite(epoch: int, loss: float, logits: np.ndarray | float = 0.0) -> None:
    """Checks the results of an epoch.

    Args:
        epoch: Number of the epoch, from 0.
        loss: Mean loss of its steps.
        logits: Logits of the validation images after it.

    Raises:
        TrainingDivergedError: If a value is not finite.
    """
    if not (math.isfinite(loss) and np.isfinite(logits).all()):
        raise TrainingDivergedError(
            f"Loss and logits must be finite, but are not in epoch {epoch + 1}, whose mean training loss is {loss}. A "
            "lower `learning_rate` usually helps; look for extreme pixels in the training images, too."
        )
