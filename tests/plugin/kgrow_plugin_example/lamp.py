"""LAMP: the size of a weight among those of its layer that would go after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow.pruning import Criterion
from kgrow.pruning.criterion import Batch, Loss, Prunable


@dataclasses.dataclass(frozen=True)
class LAMP(Criterion):
    r"""Keeps the weights that are large beside those of their layer that are left when they are reached.

    The score is :math:`w_i^2 / \sum_{j: |w_j| \ge |w_i|} w_j^2`.

    References:
        Lee, Park, Mo, Ahn and Shin, "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021,
        https://arxiv.org/abs/2010.07611.
    """

    def saliency(self, network: Prunable, batches: Sequence[Batch], loss: Loss) -> list[np.ndarray]:
        """See `Criterion.saliency`."""
        return [_scores(kernel.weight.numpy()) for kernel in network.kernels()]


def _scores(weight: np.ndarray) -> np.ndarray:
    squares = np.square(weight, dtype=np.float64).ravel()
    order = np.argsort(-squares, kind="stable")
    scores = np.empty_like(squares)
    scores[order] = squares[order] / np.maximum(np.cumsum(squares[order]), np.finfo(np.float64).tiny)
    return scores.reshape(weight.shape)
