"""`ChannelCriterion`: importance scores of channels."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from kgrow.pruning.bayes_models import ChannelModel, likelihood_of
from kgrow.pruning.channels import ChannelGroups
from kgrow.pruning.criterion import Batch, Loss, Prunable, check_scores, held
from kgrow.pruning.evidence import ByEvidence
from kgrow.pruning.gradients import mean_gradients
from kgrow.pruning.snip import SNIP
from kgrow.registry import broken, is_foreign


class ChannelCriterion(abc.ABC):
    """A rule that scores groups of channels.

    Attributes:
        min_saliency: Smallest kept score; channels below it are removed even if the keep ratio would keep them.
        in_nats: Whether scores are in nats; see `Criterion`.
    """

    min_saliency: float = 0.0
    in_nats: ClassVar[bool] = False

    @abc.abstractmethod
    def saliency(self, network: Prunable, groups: ChannelGroups, batches: Sequence[Batch], loss: Loss) -> np.ndarray:
        """Scores every group of a network; the network is not changed.

        Args:
            network: Network with its masks applied.
            groups: Channel groups of the network.
            batches: Training batches; see `Criterion.saliency`.
            loss: Training loss; see `Criterion.saliency`.

        Returns:
            Finite and non-negative scores, float64 (num_groups,); higher = keep.
        """


def scored_channels(
    criterion: ChannelCriterion, network: Prunable, groups: ChannelGroups, batches: Sequence[Batch], loss: Loss
) -> np.ndarray:
    """Returns the scores of a criterion; those of a plug-in are checked against its contract: see `scored`."""
    scores = held(criterion, network, functools.partial(criterion.saliency, network, groups, batches, loss))
    if is_foreign(criterion):
        if np.shape(scores) != (len(groups),):
            raise broken(criterion, f"give a score per group, of shape ({len(groups)},)", f"gives {np.shape(scores)}")
        check_scores(criterion, [scores])
    return scores


@dataclasses.dataclass(frozen=True)
class TaylorChannel(ChannelCriterion):
    r"""The change of the loss if a gate on the channel closes a little: :math:`|\partial L / \partial z|`.

    The gate z = 1 multiplies the output of every normalization of the group, so :math:`\partial L / \partial z` is the
    sum of :math:`\gamma \, \partial L / \partial \gamma + \beta \, \partial L / \partial \beta`. ReLU commutes with a
    positive factor, so the value is the same before and after it. Without normalization, kernel and bias replace scale
    and offset: see `ChannelGroups.gates`.

    References:
        Molchanov, Mallya, Tyree, Frosio and Kautz, "Importance Estimation for Neural Network Pruning", CVPR 2019,
        https://arxiv.org/abs/1906.10771, section 3.2.
    """

    def saliency(self, network: Prunable, groups: ChannelGroups, batches: Sequence[Batch], loss: Loss) -> np.ndarray:
        """See `ChannelCriterion.saliency`."""
        variables = network.named_variables()
        watched = [variables[name] for name in groups.gates]
        totals = mean_gradients(network, watched, batches, loss)
        sums = np.zeros(len(groups) + 1)
        for owners, variable, total in zip(groups.gates.values(), watched, totals, strict=True):
            np.add.at(sums, np.broadcast_to(owners, total.shape), variable.numpy() * total)
        return np.abs(sums[:-1])


@dataclasses.dataclass(frozen=True)
class FisherChannel(ByEvidence, ChannelCriterion):
    r"""The evidence of the data for a channel: the curvature of the loss in its gate, in nats per example.

    The gate z = 1 multiplies the channel as in `TaylorChannel`, and is off if :math:`z^2 H` is below the price of a
    gate: see `kgrow.bayes.prior`. H is the mean square of single examples' gradients for labels that the network draws.
    `TaylorChannel` averages first: a channel that raises the loss of some examples and lowers that of others then
    scores 0. No feature map is kept beyond the needs of a backward pass: 263 MiB where SNIP takes 244 (`compact`, 128
    images of 32x32 pixels).

    Args:
        min_saliency: Price of a channel, in nats per example: channels with less evidence are removed, whatever the
            keep ratio.
        curvature: Estimator of H, in `kgrow.bayes`.

    References:
        Zhou, Yang, Wang and Pan, "BayesNAS: A Bayesian Approach for Neural Architecture Search", ICML 2019,
        https://arxiv.org/abs/1905.04919.
    """

    def saliency(self, network: Prunable, groups: ChannelGroups, batches: Sequence[Batch], loss: Loss) -> np.ndarray:
        """See `ChannelCriterion.saliency`; the loss must be a weighted sum of the heads' cross-entropies."""
        (diagonal,) = self.curvature.diagonal(ChannelModel(network, groups), likelihood_of(network, loss), batches)
        return np.maximum(diagonal, 0.0)


@dataclasses.dataclass(frozen=True)
class GroupSNIP(ChannelCriterion):
    r"""The sum of a group's connection sensitivities: :math:`\sum_{i \in G} |w_i \, \partial L / \partial w_i|`."""

    def saliency(self, network: Prunable, groups: ChannelGroups, batches: Sequence[Batch], loss: Loss) -> np.ndarray:
        """See `ChannelCriterion.saliency`."""
        scores = SNIP().saliency(network, batches, loss)
        return groups.total({kernel.name: s for kernel, s in zip(network.kernels(), scores, strict=True)})


@dataclasses.dataclass(frozen=True)
class GroupNorm(ChannelCriterion):
    r"""The norm of a group's weights: :math:`\|W_G\|_2`."""

    def saliency(self, network: Prunable, groups: ChannelGroups, batches: Sequence[Batch], loss: Loss) -> np.ndarray:
        """See `ChannelCriterion.saliency`."""
        squares = {kernel.name: np.square(kernel.weight.numpy(), dtype=np.float64) for kernel in network.kernels()}
        return np.sqrt(groups.total(squares))


@dataclasses.dataclass(frozen=True)
class NetworkSlimming(ChannelCriterion):
    r"""The scales of batch normalization: :math:`\sum |\gamma|` over the normalizations of a group.

    References:
        Liu, Li, Shen, Huang, Yan and Zhang, "Learning Efficient Convolutional Networks through Network Slimming", ICCV
        2017, https://arxiv.org/abs/1708.06519; without its penalty on the scales.
    """

    def saliency(self, network: Prunable, groups: ChannelGroups, batches: Sequence[Batch], loss: Loss) -> np.ndarray:
        """See `ChannelCriterion.saliency`."""
        sums, variables = np.zeros(len(groups) + 1), network.named_variables()
        for name in groups.factors.values():
            np.add.at(sums, groups.gates[name], np.abs(variables[name].numpy()))
        return sums[:-1]
