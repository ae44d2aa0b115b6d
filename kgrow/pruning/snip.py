"""SNIP: connection sensitivity."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_bool, check_seed
from kgrow._keras import keras
from kgrow._rules import check_fields
from kgrow.network.block_layer import seed_of
from kgrow.pruning.criterion import Batch, Criterion, Loss, Prunable
from kgrow.pruning.gradients import mean_gradients


@dataclasses.dataclass(frozen=True)
class SNIP(Criterion):
    r"""Keeps the weights whose removal would change the loss most.

    Connection sensitivity is :math:`|\partial L(c \odot w) / \partial c| = |w \odot \partial L / \partial w|`, in nats
    per example. The gradient is averaged over all batches before the absolute value is taken. Batch normalization runs
    in inference mode, as in the authors' code. Unlike the paper the scores are not normalized: a common factor cannot
    change a ranking.

    Args:
        reinitialize: Whether to score with redrawn kernels (Xavier normal) instead of the trained ones, which are
            restored afterwards.
        seed: Random seed of the redrawn kernels.

    References:
        Lee, Ajanthan and Torr, "SNIP: Single-shot Network Pruning based on Connection Sensitivity", ICLR 2019,
        https://arxiv.org/abs/1810.02340, equation 6.
    """

    reinitialize: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, {"reinitialize": check_bool, "seed": check_seed})

    @classmethod
    def reinitializing(cls, seed: int) -> "SNIP":
        """Returns the criterion that scores with kernels redrawn by a seed."""
        return cls(reinitialize=True, seed=seed)

    def saliency(self, network: Prunable, batches: Sequence[Batch], loss: Loss) -> list[np.ndarray]:
        """See `Criterion.saliency`."""
        weights = [kernel.weight for kernel in network.kernels()]
        live = [weight.numpy() for weight in weights]
        try:
            if self.reinitialize:
                self._redraw(network)
            return self._score(network, weights, batches, loss)
        finally:
            for weight, value in zip(weights, live, strict=True):
                weight.assign(value)

    def _score(
        self, network: Prunable, weights: Sequence[Any], batches: Sequence[Batch], loss: Loss
    ) -> list[np.ndarray]:
        totals = mean_gradients(network, weights, batches, loss)
        return [np.abs(weight.numpy() * total) for weight, total in zip(weights, totals, strict=True)]

    def _redraw(self, network: Prunable) -> None:
        for kernel in network.kernels():
            initializer = keras.initializers.GlorotNormal(seed=seed_of(self.seed, kernel.name))
            kernel.weight.assign(initializer(kernel.weight.shape) * kernel.mask)
