"""Structural compression: removes groups of weights that the data do not support, loop by loop."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import keras, tf
from kgrow._rules import check_fields, optional, several, within
from kgrow.bayes.compressible import Compressible
from kgrow.bayes.curvature import Batch, Curvature
from kgrow.bayes.groups import Category, GroupPrior, keep_mask
from kgrow.bayes.likelihood import CrossEntropy
from kgrow.bayes.monte_carlo_fisher import MonteCarloFisher
from kgrow.bayes.proximal import shrunk
from kgrow.training import TrainingStep


@dataclasses.dataclass(frozen=True)
class CompressionSettings:
    r"""Settings of a compression.

    Args:
        categories: Names of each kernel's categories, small groups first; see `Category`.
        prices: Price lambda of a weight for each kernel, in nats per example: for a loss
            :math:`\frac{1}{2} H \|W - W_0\|^2` a group of n weights is off if :math:`\|W_0\|^2 H / n` is below it, or
            above by less than a tenth.
        learning_rate: Learning rate of SGD.
        momentum: Momentum of SGD.
        l2: Coupled weight decay of the kernels: the gradient of a weight gains `l2 * weight`.
        clip_norm: Largest norm of the gradient of all weights together, decay included; a longer gradient is scaled
            down to it. A narrowed network without normalization would leave its minimum in the first steps of a
            recovery. None for no bound.
        batch_size: Images per step.
        num_curvature_batches: Number of batches for the curvature estimate, in every loop.
        curvature: Curvature estimator.
        likelihood: Loss; with several heads it includes their weights.
    """

    categories: tuple[tuple[str, ...], ...]
    prices: tuple[float, ...]
    learning_rate: float = 0.01
    momentum: float = 0.9
    l2: float = 0.0
    clip_norm: float | None = 3.0
    batch_size: int = 128
    num_curvature_batches: int = 10
    curvature: Curvature = dataclasses.field(default_factory=MonteCarloFisher)
    likelihood: CrossEntropy = dataclasses.field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        rules = {
            **dict.fromkeys(("batch_size", "num_curvature_batches"), check_positive_int),
            "l2": within("[0, inf)"),
            "clip_norm": optional(within("(0, inf)", "For no bound pass None.")),
            "prices": several(within("(0, inf)", "To leave a kernel alone give it no categories: ().")),
        }
        check_fields(self, rules)
        if len(self.categories) != len(self.prices):
            raise ValueError(f"`prices` must hold one per kernel of `categories`, but got {self.prices}.")


class Compression:
    r"""A network during its compression.

    A loop is several epochs of `train`, under the penalty :math:`\lambda \sum_g \omega_g \|W_g\|_2`, and an `update`;
    `CompressionLoop` runs them.

    Args:
        network: Network to compress; trained in place.
        settings: Compression settings.
        seed: Random seed of the image order.

    References:
        Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for Neural Architecture Search", ICML 2019,
        https://arxiv.org/abs/1905.04919, Algorithm 2 and appendix.
    """

    def __init__(self, network: Compressible, settings: CompressionSettings, seed: int = 0):
        kernels = network.kernels
        if len(settings.categories) != len(kernels):
            raise ValueError(f"`categories` must hold those of {len(kernels)} kernels, but got {settings.categories}.")
        self.network, self.settings = network, settings
        self.generator = np.random.default_rng(seed)
        self.priors = [
            [GroupPrior.fresh(Category(name, tuple(kernel.shape))) for name in names]
            for kernel, names in zip(kernels, settings.categories, strict=True)
        ]
        self.masks = [np.ones(kernel.shape, bool) for kernel in kernels]
        self._learning_rate = settings.learning_rate
        self._omegas = [[tf.Variable(tf.ones(p.omega.shape), trainable=False) for p in own] for own in self.priors]
        self._is_penalized, kernel_ids = tf.Variable(1.0, trainable=False), {id(kernel) for kernel in kernels}
        trainable = {str(index): variable for index, variable in enumerate(network.trainable)}
        self._step = TrainingStep(
            trainable,
            lambda images, labels: tf.reduce_mean(settings.likelihood.loss(network.outputs(images), labels)),
            keras.optimizers.SGD(
                settings.learning_rate, settings.momentum, global_clipnorm=settings.clip_norm, jit_compile=False
            ),
            decay={name: settings.l2 for name, variable in trainable.items() if id(variable) in kernel_ids},
            finish=self._shrink,
        )

    def train(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        penalized: bool = True,
        on_step: Callable[[int], None] = lambda done: None,
    ) -> float:
        """Trains for an epoch and returns the mean loss without penalty and decay; removed weights stay removed.

        Args:
            images: Images as the network reads them, (num_images, height, width, channels).
            labels: Labels, int32 (num_images,).
            penalized: Whether groups are shrunk; without it the remaining groups recover.
            on_step: Function called after every step with the number of steps done.

        Raises:
            ArithmeticError: If the loss is no longer finite.
            ValueError: If there are fewer images than in a batch.
        """
        size = self.settings.batch_size
        if len(images) < size:
            raise ValueError(f"`batch_size` must not exceed the {len(images)} images, but got {size}.")
        order = self.generator.permutation(len(images))
        chosen = (order[start : start + size] for start in range(0, len(order) - size + 1, size))
        self._is_penalized.assign(float(penalized))
        batches = ((images[rows], labels[rows]) for rows in chosen)
        mean = self._step.epoch(batches, lambda number: self._learning_rate, on_step=on_step)
        if not math.isfinite(mean):
            raise ArithmeticError(f"The loss became {mean}. Lower `learning_rate`, or train without momentum.")
        return mean

    def set_learning_rate(self, learning_rate: float) -> None:
        """Sets the learning rate from the next step on."""
        self._learning_rate = learning_rate

    def _shrink(self) -> None:
        """Applies the penalty to the kernels, after the step of the loss."""
        self.network.apply_masks()  # momentum moves removed weights
        # With momentum m a gradient moves a weight by 1 / (1 - m) times the rate in all; so must the penalty.
        reach = self._is_penalized * self._step.optimizer.learning_rate / (1.0 - self.settings.momentum)
        for index, kernel in enumerate(self.network.kernels):
            left = kernel
            for prior, omega in zip(self.priors[index], self._omegas[index], strict=True):
                left = shrunk(left, omega, prior.category.axes, reach * self.settings.prices[index])
            kernel.assign(left)

    def update(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Updates the switches after some training, and removes weights that are off or no longer connected.

        Args:
            images: Images as for `train`; a few batches of them are drawn.
            labels: Labels as for `train`.

        Raises:
            ValueError: If no input would reach a class any more; weights, masks and switches are then unchanged.
        """
        kept, updated = [], []
        curvatures = self._curvatures(images, labels)
        for index, (variable, price) in enumerate(zip(self.network.kernels, self.settings.prices, strict=True)):
            kernel, alive = variable.numpy(), self.masks[index]
            priors = [prior.updated(kernel, curvatures[index] / price, alive) for prior in self.priors[index]]
            kept.append(alive & keep_mask(priors, kernel))
            updated.append(priors)
        masks = self.network.connected(kept)
        self.network.remove(masks)
        self._switch(masks, updated)

    def state(self) -> dict[str, np.ndarray]:
        """Returns all values that a run changes; `load_state` resumes from them, in another process too."""
        named = {f"masks/{index}": mask for index, mask in enumerate(self.masks)}
        for part, variables in (("network", self.network.variables), ("momentum", self._step.optimizer.momentums)):
            named |= {f"{part}/{index}": variable.numpy() for index, variable in enumerate(variables)}
        for index, own in enumerate(self.priors):
            named |= {f"switches/{index}/{p.category.name}": np.stack([p.gamma, p.omega, p.support]) for p in own}
        named["learning_rate"] = np.array(self._learning_rate, np.float32)
        return named | {"generator": np.array(json.dumps(self.generator.bit_generator.state))}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Assigns the values that `state` returned.

        Args:
            state: State of a run with a network of the same layers and with the same settings.

        Raises:
            ValueError: If it belongs to another network; nothing is changed then.
        """
        shapes, given = ({name: np.shape(value) for name, value in s.items()} for s in (self.state(), state))
        if shapes != given:
            differing = next(n for n in {**shapes, **given} if shapes.get(n) != given.get(n))
            raise ValueError(
                f"`state` must be that of a run with the same layers and categories, but {differing} has the shape "
                f"{given.get(differing)} instead of {shapes.get(differing)}."
            )
        self.generator.bit_generator.state = json.loads(str(state["generator"]))
        for part, variables in (("network", self.network.variables), ("momentum", self._step.optimizer.momentums)):
            for index, variable in enumerate(variables):
                variable.assign(state[f"{part}/{index}"])
        self.set_learning_rate(float(state["learning_rate"]))
        priors = [
            [GroupPrior(p.category, *state[f"switches/{index}/{p.category.name}"]) for p in own]
            for index, own in enumerate(self.priors)
        ]
        self._switch([state[f"masks/{index}"] for index in range(len(self.masks))], priors)

    def _switch(self, masks: list[np.ndarray], priors: list[list[GroupPrior]]) -> None:
        self.masks, self.priors = masks, priors
        for own, omegas in zip(self.priors, self._omegas, strict=True):
            for prior, omega in zip(own, omegas, strict=True):
                omega.assign(prior.omega)

    def _curvatures(self, images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
        """Returns the curvature in every kernel; the model may have other parameters too, such as biases."""
        model, settings = self.network.model, self.settings
        diagonals = settings.curvature.diagonal(model, settings.likelihood, self._batches(images, labels))
        found = {id(parameter): diagonal for parameter, diagonal in zip(model.parameters, diagonals, strict=True)}
        return [found[id(kernel)] for kernel in self.network.kernels]

    def _batches(self, images: np.ndarray, labels: np.ndarray) -> list[Batch]:
        num_batches = min(self.settings.num_curvature_batches, -(-len(images) // self.settings.batch_size))
        order = self.generator.permutation(len(images))
        parts = [order[i * self.settings.batch_size :][: self.settings.batch_size] for i in range(num_batches)]
        return [(tf.constant(images[part]), tf.constant(labels[part])) for part in parts]
