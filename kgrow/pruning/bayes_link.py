"""BayesLink: the evidence of the data for each link between cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from kgrow.bayes import Curvature, MonteCarloFisher
from kgrow.bayes.recursion import check_curvature
from kgrow.network import GrowingNetwork
from kgrow.pruning.bayes_models import LinkModel, as_growing, likelihood_of
from kgrow.pruning.criterion import Batch, Criterion, Loss, Prunable
from kgrow.pruning.fisher import FisherPruning, check_price
from kgrow.pruning.links import Links


@dataclasses.dataclass(frozen=True)
class BayesLink(Criterion):
    r"""Keeps the links between cells for which the data have evidence, and then the weights as `Bayes` does.

    A link is one entry of `Cell.inputs`. Its gate z = 1 multiplies what it contributes to the cell that reads it, and
    its evidence is the curvature of the loss in that gate, in nats per example. A link is off if that is below the
    price, if hardly anything leads to its source, or if it is no longer on the way to a head; see `Links.supported`.
    All connections that read through it then score 0. The others score :math:`\lambda + w^2 H`, the evidence of their
    link, of which the price is known to be passed, and their own: a price takes links whole, and of those that stay
    only a keep ratio takes more.

    A cell that is left without links goes with all its kernels, and of a graph cell what only a lost input leads to.
    Every head keeps a path. Where a cell has one link, as without dense links, that one goes only with its cell, so
    what a chain loses is nothing. The identity shortcut of a cell and the newest input of a sum pass on what no mask
    can stop: such a link stays as long as its cell does. Blocks that are not grown yet have no say; they read what is
    left.

    Scoring takes half as long again as that of `Bayes`.

    Args:
        min_saliency: The price of a link, in nats per example: those with less evidence go, whatever the keep ratio. 0
            leaves the count to the keep ratio; the links that go first are then judged at a nat over the images scored.
        curvature: How the curvature is estimated, once in the gates and once in the weights; in `kgrow.bayes`.

    References:
        Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for Neural Architecture Search", ICML 2019,
        https://arxiv.org/abs/1905.04919, where the gates are on the operations between the nodes of one cell.
    """

    min_saliency: float = 0.0
    curvature: Curvature = dataclasses.field(default_factory=MonteCarloFisher)
    empties_kernels: ClassVar[bool] = True
    in_nats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_price(self.min_saliency)
        check_curvature(self.curvature)

    @classmethod
    def drawing(cls, seed: int) -> BayesLink:
        """Returns the criterion whose estimate of the curvature draws by a seed."""
        return cls(curvature=MonteCarloFisher(seed=seed))

    def saliency(self, network: Prunable, batches: Sequence[Batch], loss: Loss) -> list[np.ndarray]:
        """See `Criterion.saliency`; the loss must be a weighted sum of the heads' cross-entropies."""
        growing = as_growing(network)
        price = self.min_saliency or 1.0 / sum(len(labels) for _, labels in batches)
        stays = self._connections(growing, batches, loss, price)
        scores = FisherPruning(curvature=self.curvature).saliency(growing, batches, loss)
        return [(price + score) * stays[kernel.name] for kernel, score in zip(growing.kernels(), scores, strict=True)]

    def _connections(
        self, network: GrowingNetwork, batches: Sequence[Batch], loss: Loss, price: float
    ) -> dict[str, np.ndarray]:
        """Returns per kernel name which connections the evidence for links supports, bool of its shape."""
        links, kernels = Links(network.architecture), network.kernels()
        (diagonal,) = self.curvature.diagonal(LinkModel(network, links), likelihood_of(network, loss), batches)
        weights = {kernel.name: kernel.weight.numpy() for kernel in kernels}
        kept = links.supported(diagonal, price, weights, {kernel.name: kernel.mask.numpy() for kernel in kernels})
        return links.connections(kept, {name: weight.shape for name, weight in weights.items()})
