"""BayesLink: the evidence of the data for each link between cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from kgrow.network import GrowingNetwork
from kgrow.pruning.bayes_models import LinkModel, likelihood_of
from kgrow.pruning.criterion import Batch, Criterion, Loss, Prunable
from kgrow.pruning.evidence import ByEvidence
from kgrow.pruning.fisher import FisherPruning
from kgrow.pruning.links import Links


@dataclasses.dataclass(frozen=True)
class BayesLink(ByEvidence, Criterion):
    r"""Keeps the links between cells that the data support, and then the weights as `FisherPruning` does.

    A link is one entry of `Cell.inputs`. Its gate z = 1 multiplies its contribution to the cell that reads it, and its
    evidence is the curvature of the loss in that gate, in nats per example. A link is off if its evidence is below the
    price, if hardly anything leads to its source, or if it is no longer on the path to a head; see `Links.supported`.
    All connections that read through it then score 0. The others score :math:`\lambda + w^2 H`, the evidence of their
    link, which is known to exceed the price, and their own. A price therefore removes whole links; connections of the
    remaining links are removed only by a keep ratio.

    A cell without links is removed with all its kernels; in a graph cell, everything that only a removed input feeds is
    removed. Every head keeps a path. A cell with a single link, as without dense links, loses it only with the whole
    cell, so a chain loses nothing. The identity shortcut of a cell and the newest input of a sum pass on values that no
    mask can stop: such a link stays as long as its cell does. Blocks that are not grown yet have no influence; they
    read the remaining links.

    Scoring takes one and a half times as long as with `FisherPruning`.

    Args:
        min_saliency: Price of a link, in nats per example: links with less evidence are removed, whatever the keep
            ratio. With 0 the keep ratio decides the number; the links to remove first are then judged at one nat over
            the scored images.
        curvature: Curvature estimator in `kgrow.bayes`, used once for the gates and once for the weights.

    References:
        Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for Neural Architecture Search", ICML 2019,
        https://arxiv.org/abs/1905.04919, where the gates are on the operations between the nodes of one cell.
    """

    empties_kernels: ClassVar[bool] = True

    def saliency(self, network: Prunable, batches: Sequence[Batch], loss: Loss) -> list[np.ndarray]:
        """See `Criterion.saliency`; the loss must be a weighted sum of the heads' cross-entropies."""
        price = self.min_saliency or 1.0 / sum(len(labels) for _, labels in batches)
        stays = self._connections(network, batches, loss, price)
        scores = FisherPruning(curvature=self.curvature).saliency(network, batches, loss)
        return [(price + score) * stays[kernel.name] for kernel, score in zip(network.kernels(), scores, strict=True)]

    def _connections(
        self, network: GrowingNetwork, batches: Sequence[Batch], loss: Loss, price: float
    ) -> dict[str, np.ndarray]:
        """Returns by kernel name which connections the evidence for links supports, bool of its shape."""
        links, kernels = Links(network.architecture), network.kernels()
        (diagonal,) = self.curvature.diagonal(LinkModel(network, links), likelihood_of(network, loss), batches)
        weights = {kernel.name: kernel.weight.numpy() for kernel in kernels}
        kept = links.supported(diagonal, price, weights, {kernel.name: kernel.mask.numpy() for kernel in kernels})
        return links.connections(kept, {name: weight.shape for name, weight in weights.items()})
