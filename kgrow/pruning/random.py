"""Random scores, as a baseline for all other criteria."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow._checks import check_seed
from kgrow._rules import check_fields
from kgrow.pruning.criterion import Batch, Criterion, Loss, Prunable


@dataclasses.dataclass(frozen=True)
class Random(Criterion):
    """Keeps connections uniformly at random.

    Args:
        seed: Random seed of the scores; the same network shape gives the same scores.
    """

    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, {"seed": check_seed})

    def saliency(self, network: Prunable, batches: Sequence[Batch], loss: Loss) -> list[np.ndarray]:
        """See `Criterion.saliency`."""
        generator = np.random.default_rng(self.seed)
        return [generator.random(kernel.weight.shape, dtype=np.float32) for kernel in network.kernels()]
