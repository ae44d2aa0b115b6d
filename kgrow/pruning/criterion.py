"""`Criterion`: importance scores of connections."""

from __future__ import annotations

import abc
import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from kgrow.network import GrowingNetwork
from kgrow.registry import blamed, broken, is_foreign

Batch = tuple[np.ndarray, np.ndarray]
Loss = Callable[[tuple[Any, ...], Any], Any]
Prunable = GrowingNetwork  # its name in signatures of criteria
T = TypeVar("T")


class Criterion(abc.ABC):
    """A rule that scores connections.

    Attributes:
        min_saliency: Smallest kept score; connections below it are removed even if the keep ratio would keep them.
        empties_kernels: Whether a kernel may lose all its connections if each of them scores 0. Otherwise its best one
            stays, because a kernel without connections may cut the network in two.
        in_nats: Whether scores are evidence in nats per example, so that a price can be set without looking at them.
    """

    min_saliency: float = 0.0
    empties_kernels: ClassVar[bool] = False
    in_nats: ClassVar[bool] = False

    @abc.abstractmethod
    def saliency(self, network: Prunable, batches: Sequence[Batch], loss: Loss) -> list[np.ndarray]:
        """Scores every prunable connection of a network; the network is not changed.

        Args:
            network: Network with its masks applied.
            batches: Pairs of raw training images (batch, height, width, channels) and labels (batch,).
            loss: Function that maps the tuple of logits and the labels to the mean training loss, in nats per example.

        Returns:
            One finite, non-negative array per kernel of `network.kernels()`, of its shape; higher = keep. The scores of
            pruned connections have no meaning.
        """


def scored(criterion: Criterion, network: Prunable, batches: Sequence[Batch], loss: Loss) -> list[np.ndarray]:
    """Returns the scores of a criterion; those of a plug-in are checked against its contract.

    Raises:
        PluginError: If the plug-in violates it; the message names the package.
    """
    score = functools.partial(criterion.saliency, network, batches, loss)
    scores = held(criterion, network, score)
    if is_foreign(criterion):
        shapes = [tuple(kernel.weight.shape) for kernel in network.kernels()]
        found = [np.shape(each) for each in scores] if isinstance(scores, list | tuple) else type(scores).__name__
        if found != shapes:
            raise broken(criterion, f"give one array per kernel, of shapes {shapes}", f"gives {found}")
        check_scores(criterion, scores)
    return scores


def held(criterion: Any, network: Prunable, score: Callable[[], T]) -> T:
    """Returns the scores of a criterion of connections or channels; a plug-in must not change the network."""
    if not is_foreign(criterion):
        return score()
    before = {name: variable.numpy() for name, variable in network.named_variables().items()}
    with blamed(criterion):
        scores = score()
    after = network.named_variables()
    changed = [name for name, value in before.items() if not np.array_equal(after[name].numpy(), value)]
    if changed:
        raise broken(criterion, "leave the network as it was", f"changes {changed[0]}")
    return scores


def check_scores(criterion: Any, scores: Sequence[Any]) -> None:
    """Raises PluginError unless all scores are finite and non-negative numbers."""
    for each in scores:
        values = np.asarray(each)
        if values.dtype.kind not in "biuf" or not np.isfinite(values).all() or (values < 0).any():
            raise broken(criterion, "give finite scores that are not negative", "gives others")


def priced(criterion: T, share: float) -> T:
    """Returns a criterion of connections or channels with a fraction of its smallest saliency."""
    twin: Any = copy.copy(criterion)
    object.__setattr__(twin, "min_saliency", share * twin.min_saliency)  # criteria are frozen
    return twin
