"""Magnitude: the absolute value of a weight."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow.pruning.criterion import Batch, Criterion, Loss, Prunable


@dataclasses.dataclass(frozen=True)
class Magnitude(Criterion):
    """Keeps the largest weights; the usual baseline."""

    def saliency(self, network: Prunable, batches: Sequence[Batch], loss: Loss) -> list[np.ndarray]:
        """See `Criterion.saliency`."""
        return [np.abs(kernel.weight.numpy()) for kernel in network.kernels()]
