"""The statistics of a network in training that policies may ask for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.graph import IMAGE
from kgrow.lifecycle.gradient_noise import gradient_moments, noise_statistic
from kgrow.lifecycle.image_size import fitted
from kgrow.lifecycle.settings import Settings
from kgrow.network import GrowingNetwork
from kgrow.network.block_layer import BlockLayer
from kgrow.pruning import Criterion
from kgrow.pruning.batches import saliency_batches
from kgrow.pruning.criterion import Batch, scored
from kgrow.pruning.prices import batch_gradients, joint_gain, moments, removal_price, revival_gain
from kgrow.structure import Scoring
from kgrow.structure.append_block import AppendBlock
from kgrow.structure.statistics import Prices, Statistics
from kgrow.task import Task
from kgrow.training import joint_loss
from kgrow.training.loss import exit_weights

BATCH = 64  # images whose gradients are taken together to estimate a variance


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

    def prices(self, num_examples: int) -> dict[str, Prices]:
        """See `Statistics.prices`."""
        network, batches = self._network(), self._small_batches(num_examples)
        network.apply_masks()
        kernels, size, found = network.kernels(), len(batches[0][1]), {}
        stacks = batch_gradients(network, [kernel.weight for kernel in kernels], batches, self._scoring().loss)
        for kernel, gradients in zip(kernels, stacks, strict=True):
            mean, curvature = moments(gradients, size)
            kept = kernel.mask.numpy() > 0
            damping = float(np.median(curvature[kept])) if kept.any() else 0.0
            gain = revival_gain(mean, curvature, damping, size * len(batches)) * ~kept
            promised, joint = gain.sum(), joint_gain(gradients[:, ~kept], size, damping)
            share = min(1.0, joint / promised) if promised > 0 else 0.0
            found[kernel.name] = Prices(removal_price(mean, curvature, kernel.weight.numpy()), share * gain)
        return found

    def block_gain(self, block: AppendBlock, num_examples: int) -> float:
        """See `Statistics.block_gain`."""
        now, settings = self._network(), self._settings
        now.apply_masks()
        # The new block alone is built, and nothing is traced: its features are needed for a few batches only.
        layer = BlockLayer(block.apply(now.architecture)[0], len(now.blocks), seed=now.seed)
        kernel = layer.kernels()[-1]
        for name, variable in layer.named_variables().items():
            is_zero = name.startswith(f"{kernel.name}/") and not name.endswith("/mask")
            variable.assign(tf.zeros_like(variable) if is_zero else block.initial.get(name, variable))

        def both(images: Any, training: Any = False) -> tuple[Any, ...]:
            features = {IMAGE: now.scale(images)}
            for each in (*now.blocks, layer):
                features |= each.forward(features, bool(training))
            return (features[now.blocks[-1].nodes[-1].name] + features[layer.nodes[-1].name],)

        def loss(logits: Any, labels: Any) -> Any:
            smoothing, weights = settings.preset.label_smoothing, settings.class_weights
            return joint_loss(logits, labels, np.ones(1, np.float32), smoothing, class_weights=weights)

        batches = self._small_batches(num_examples)
        (gradients,) = batch_gradients(both, [kernel.weight], batches, loss)
        size = len(batches[0][1])
        return joint_gain(gradients.reshape(len(batches), -1), size, float(np.median(moments(gradients, size)[1])))

    def _small_batches(self, num_examples: int) -> list[Batch]:
        """Returns at least four batches of equal size, for variances."""
        number = min(num_examples, len(self._task.train))
        size = max(1, min(BATCH, number // 4))
        seed = (self._settings.seed, self._epoch, 3)
        batches = self._task.train.batches(size, shuffle_seed=seed, drop_remainder=True)
        architecture = self._network().architecture
        return [(fitted(images, architecture), labels) for images, labels in itertools.islice(batches, number // size)]

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
