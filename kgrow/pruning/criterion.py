"""`Criterion`: which connections matter."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kgrow.network import GrowingNetwork

Batch = tuple[np.ndarray, np.ndarray]
Loss = Callable[[tuple[Any, ...], Any], Any]


class Criterion(abc.ABC):
    """A rule that scores connections."""

    @abc.abstractmethod
    def saliency(self, network: GrowingNetwork, batches: Sequence[Batch], loss: Loss) -> list[np.ndarray]:
        """Scores every prunable connection of a network, which is left as it was.

        Args:
            network: With its masks applied.
            batches: Pairs of raw training images (batch, height, width, channels) and labels (batch,).
            loss: Maps the tuple of logits and the labels to the mean training loss, in nats per example.

        Returns:
            One finite, non-negative array per kernel of `network.kernels()`, of its shape; higher = keep. The scores
            of connections that are pruned already have no meaning.
        """
