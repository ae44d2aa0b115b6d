"""Structural compression: groups of weights that the data do not support go, loop by loop."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import keras, tf
from kgrow.bayes.chain import Chain
from kgrow.bayes.curvature import Batch, Curvature
from kgrow.bayes.groups import Category, GroupPrior, keep_mask
from kgrow.bayes.likelihood import CrossEntropy
from kgrow.bayes.monte_carlo_fisher import MonteCarloFisher
from kgrow.bayes.proximal import shrunk


@dataclasses.dataclass(frozen=True)
class CompressionSettings:
    r"""How a chain is compressed.

    Args:
        categories: Of every layer the names of its categories, small groups first; see `Category`.
        prices: Of every layer the price lambda of a weight, in nats per example: for a loss
            :math:`\frac{1}{2} H \|W - W_0\|^2` a group of n weights is off if :math:`\|W_0\|^2 H / n` is below it.
        learning_rate: Of SGD.
        momentum: Of SGD.
        batch_size: Images per step.
        num_curvature_batches: Batches that the curvature is estimated on, in every loop.
        curvature: The estimate.
    """

    categories: tuple[tuple[str, ...], ...]
    prices: tuple[float, ...]
    learning_rate: float = 0.01
    momentum: float = 0.9
    batch_size: int = 128
    num_curvature_batches: int = 10
    curvature: Curvature = dataclasses.field(default_factory=MonteCarloFisher)

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_curvature_batches"):
            check_positive_int(getattr(self, name), name)
        if len(self.categories) != len(self.prices):
            raise ValueError(f"`prices` must hold one per layer of `categories`, but got {self.prices}.")


class Compression:
    r"""A chain while it is compressed.

    A loop is some epochs of `train`, under the penalty :math:`\lambda \sum_g \omega_g \|W_g\|_2`, and an `update`.

    Args:
        chain: Trained in place.
        settings: How.
        seed: Of the order of images.

    References:
        Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for Neural Architecture Search", ICML 2019,
        https://arxiv.org/abs/1905.04919, Algorithm 2 and appendix.
    """

    def __init__(self, chain: Chain, settings: CompressionSettings, seed: int = 0):
        if len(settings.categories) != len(chain.layers):
            raise ValueError(
                f"`categories` must hold those of {len(chain.layers)} layers, but got {settings.categories}."
            )
        self.chain, self.settings = chain, settings
        self.generator = np.random.default_rng(seed)
        self.priors = [
            [GroupPrior.fresh(Category(name, tuple(layer.kernel.shape))) for name in names]
            for layer, names in zip(chain.layers, settings.categories, strict=True)
        ]
        self.masks = [np.ones(layer.kernel.shape, bool) for layer in chain.layers]
        self._kernel_masks = [tf.Variable(tf.ones_like(layer.kernel), trainable=False) for layer in chain.layers]
        self._bias_masks = [tf.Variable(tf.ones_like(layer.bias), trainable=False) for layer in chain.layers]
        self._omegas = [[tf.Variable(tf.ones(p.omega.shape), trainable=False) for p in own] for own in self.priors]
        self._optimizer = keras.optimizers.SGD(settings.learning_rate, settings.momentum)
        self._variables = [variable for layer in chain.layers for variable in (layer.kernel, layer.bias)]
        self._optimizer.build(self._variables)
        self._step = tf.function(self._train_step, autograph=False)

    def train(self, images: np.ndarray, labels: np.ndarray, *, penalised: bool = True) -> float:
        """Trains for an epoch and returns the mean loss without the penalty; what is removed stays removed.

        Args:
            images: float32 (num_images, height, width, channels).
            labels: int32 (num_images,).
            penalised: Whether groups are shrunk; without it the survivors recover.
        """
        order = self.generator.permutation(len(images))
        size = self.settings.batch_size
        losses = []
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            losses.append(
                self._step(tf.constant(images[chosen]), tf.constant(labels[chosen]), tf.constant(float(penalised)))
            )
        return float(np.mean([loss.numpy() for loss in losses]))

    def set_learning_rate(self, learning_rate: float) -> None:
        """Sets the rate from the next step on."""
        self._optimizer.learning_rate.assign(learning_rate)

    def _train_step(self, images: Any, labels: Any, penalty: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(CrossEntropy().loss([self.chain(images)], labels))
        self._optimizer.apply_gradients(zip(tape.gradient(loss, self._variables), self._variables, strict=True))
        # With momentum m a gradient moves a weight by 1 / (1 - m) times the rate in all; so must the penalty.
        reach = penalty * self._optimizer.learning_rate / (1.0 - self.settings.momentum)
        for index, layer in enumerate(self.chain.layers):
            kernel = layer.kernel * self._kernel_masks[index]
            for prior, omega in zip(self.priors[index], self._omegas[index], strict=True):
                kernel = shrunk(kernel, omega, prior.category.axes, reach * self.settings.prices[index])
            layer.kernel.assign(kernel)
            layer.bias.assign(layer.bias * self._bias_masks[index])
        return loss

    def update(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Turns the switches after some training, and removes what is off or no longer connected.

        Args:
            images: As for `train`; a few batches of them are drawn.
            labels: As for `train`.

        Raises:
            ValueError: If a layer would lose all its weights; the masks are then as they were.
        """
        curvatures = self.settings.curvature.diagonal(
            self.chain.graph, CrossEntropy(), list(self._batches(images, labels))
        )
        kept = []
        for index, (layer, price) in enumerate(zip(self.chain.layers, self.settings.prices, strict=True)):
            kernel, curvature = layer.kernel.numpy(), curvatures[2 * index]  # every other one is that of a bias
            self.priors[index] = [prior.updated(kernel, curvature / price) for prior in self.priors[index]]
            for prior, omega in zip(self.priors[index], self._omegas[index], strict=True):
                omega.assign(prior.omega)
            kept.append(self.masks[index] & keep_mask(self.priors[index], kernel))
        masks = self.chain.connected(kept)
        for index, mask in enumerate(masks):
            if not mask.any():
                raise ValueError(
                    f"`prices` must leave every layer a weight, but {self.settings.prices} leave layer {index} none. "
                    "Lower those that are too high."
                )
        self.masks = masks
        self._apply_masks()

    def _batches(self, images: np.ndarray, labels: np.ndarray) -> list[Batch]:
        num_batches = min(self.settings.num_curvature_batches, -(-len(images) // self.settings.batch_size))
        order = self.generator.permutation(len(images))
        parts = [order[i * self.settings.batch_size :][: self.settings.batch_size] for i in range(num_batches)]
        return [(tf.constant(images[part]), tf.constant(labels[part])) for part in parts]

    def _apply_masks(self) -> None:
        """Makes what is removed exactly zero, the bias of a unit that nothing feeds or that feeds nothing too."""
        for index, (layer, mask) in enumerate(zip(self.chain.layers, self.masks, strict=True)):
            is_last = index == len(self.masks) - 1
            alive = np.ones(mask.shape[-1], bool) if is_last else mask.reshape(-1, mask.shape[-1]).any(axis=0)
            self._kernel_masks[index].assign(mask.astype(np.float32))
            self._bias_masks[index].assign(alive.astype(np.float32))
            layer.kernel.assign(layer.kernel * self._kernel_masks[index])
            layer.bias.assign(layer.bias * self._bias_masks[index])

    def compressed(self) -> Chain:
        """Returns the chain without the units that are gone."""
        return self.chain.narrowed(self.masks)


def error_rate(chain: Chain, images: np.ndarray, labels: np.ndarray, batch_size: int = 1000) -> float:
    """Returns the fraction of images that a chain takes for something else.

    Args:
        chain: The classifier.
        images: float32 (num_images, height, width, channels).
        labels: (num_images,).
        batch_size: Images per step.
    """
    starts = range(0, len(images), batch_size)
    answers = [chain(tf.constant(images[start : start + batch_size])).numpy().argmax(axis=-1) for start in starts]
    return float(np.mean(np.concatenate(answers) != labels))
