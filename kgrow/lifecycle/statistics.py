"""The statistics of a network in training that policies may ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kgrow.lifecycle.gradient_noise import gradient_moments, noise_statistic
from kgrow.lifecycle.image_size import fitted
from kgrow.lifecycle.settings import Settings
from kgrow.network import GrowingNetwork
from kgrow.pruning import Criterion
from kgrow.pruning.batches import saliency_batches
from kgrow.pruning.criterion import scored
from kgrow.structure import Scoring
from kgrow.structure.statistics import Statistics
from kgrow.task import Task
from kgrow.training.loss import exit_weights


class LiveStatistics(Statistics):
    """Statistics of the current network of a training, before an epoch.

    Args:
        task: Data of the training.
        settings: Settings of the training.
        epoch: Number of the epoch, from 0.
        network: Function that returns the network with variables outside of any replica.
        scoring: Function that returns the inputs of criteria.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        epoch: int,
        network: Callable[[], GrowingNetwork],
        scoring: Callable[[], Scoring],
    ):
        self._task, self._settings, self._epoch, self._network, self._scoring = task, settings, epoch, network, scoring

    def masks(self) -> dict[str, np.ndarray]:
        """See `Statistics.masks`."""
        return {kernel.name: kernel.mask.numpy() for kernel in self._network().kernels()}

    def saliency(self, criterion: Criterion) -> dict[str, np.ndarray]:
        """See `Statistics.saliency`."""
        network, scoring = self._network(), self._scoring()
        network.apply_masks()
        scores = scored(criterion, network, scoring.batches, scoring.loss)
        return dict(zip((kernel.name for kernel in network.kernels()), scores, strict=True))

    def answers(self) -> np.ndarray:
        """See `Statistics.answers`."""
        network, validation = self._network(), self._task.validation
        logits = network.logits(fitted(validation.images, network.architecture))
        return np.asarray(logits).argmax(axis=-1) == validation.labels

    def gradient_noise(self, blocks: Sequence[int], num_examples: int) -> float:
        """See `Statistics.gradient_noise`; weight decay is part of the gradient, as both balance at the optimum."""
        network, settings, preset = self._network(), self._settings, self._settings.preset
        network.apply_masks()
        batches = saliency_batches(self._task.train, num_examples, (settings.seed, self._epoch, 2))
        batches = [(fitted(images, network.architecture), labels) for images, labels in batches]
        weights = exit_weights(network.architecture, preset.epochs, preset.epochs, preset.exit_weights)
        moments = gradient_moments(network, batches, weights, preset.label_smoothing, settings.class_weights)
        wanted = {kernel.name for block in blocks for kernel in network.architecture.kernels(block)}
        means, variances = [], []
        for kernel, mean, variance in zip(network.kernels(), *moments, strict=True):
            if kernel.name in wanted:
                is_kept = kernel.mask.numpy() > 0  # pruned connections cannot move
                means.append((mean + preset.l2 * kernel.weight.numpy())[is_kept])
                variances.append(variance[is_kept])
        count = sum(len(labels) for _, labels in batches)
        return noise_statistic(np.concatenate(means), np.concatenate(variances), count)
