"""One pruning step of a user's model: channels, then the connections inside, then parts without effect."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow._tfmot import assign_masks
from kgrow.compressing.plan import CompressionPlan
from kgrow.graph import Architecture
from kgrow.network import GrowingNetwork
from kgrow.pruning import ChannelCriterion, prune
from kgrow.pruning.batches import saliency_batches
from kgrow.pruning.channel_criterion import NetworkSlimming
from kgrow.pruning.channels import ITSELF, ChannelGroups, channel_groups, connected
from kgrow.pruning.prune import prune_groups
from kgrow.task import Split
from kgrow.training import joint_loss

SALIENCY_EXAMPLES = 1024


def layer_groups(architecture: Architecture) -> ChannelGroups:
    """Returns the channel groups of a network; each layer that makes channels is a block with the layers tied to it.

    The layers are not ranked together: a criterion that depends on a layer's scale would then cut a layer to one
    channel.
    """
    groups = channel_groups(architecture)
    blocks = np.zeros(len(groups), int)
    for number, (_, made) in reversed(list(enumerate(groups.kernels.values()))):
        blocks[made[made >= 0]] = number
    return dataclasses.replace(groups, blocks=blocks)


def prune_before(
    epoch: int, network: GrowingNetwork, groups: ChannelGroups, split: Split, plan: CompressionPlan
) -> bool:
    """Runs the pruning that is due before an epoch.

    Args:
        epoch: Number of the epoch, from 0.
        network: Network to prune in place.
        groups: Channel groups of the network; see `layer_groups`.
        split: Training images used for scoring.
        plan: Compression plan.

    Returns:
        Whether pruning was due.
    """
    channels, connections = (plan.schedule.due(epoch, (ratio,)) for ratio in (plan.channel_keep_ratio, plan.keep_ratio))
    if not channels:
        return False
    batches = saliency_batches(split, SALIENCY_EXAMPLES, (plan.seed, epoch, 1))
    channels = dict.fromkeys(groups.blocks.tolist(), channels[0])
    prune_groups(network, groups, channels, plan.channel_criterion, batches, cross_entropy, plan.channel_multiple)
    _remove_dead(network, groups)
    prune(network, connections, plan.criterion, batches, cross_entropy)
    _remove_dead(network, groups)
    return True


def _remove_dead(network: GrowingNetwork, groups: ChannelGroups) -> None:
    """Prunes connections of channels that no layer makes or no layer reads."""
    kernels = network.kernels()
    masks, _ = connected(groups, {kernel.name: kernel.mask.numpy() for kernel in kernels})
    assign_masks(kernels, [masks[kernel.name] for kernel in kernels])


def check_scores(criterion: ChannelCriterion, architecture: Architecture, groups: ChannelGroups) -> None:
    """Checks that a criterion can distinguish the channels of a network.

    Raises:
        ValueError: If it is the scale of batch normalization and the channels of some layer have no scale.
    """
    if not isinstance(criterion, NetworkSlimming):
        return
    has_scale = np.zeros(len(groups) + 1, bool)
    has_scale[-1] = True  # the entry for outputs without a channel group
    for name in groups.factors.values():
        has_scale[groups.gates[name]] = True
    bare = [name for name, (_, made) in groups.kernels.items() if not has_scale[made[made != ITSELF]].all()]
    if bare:
        raise ValueError(
            "`channel_criterion` must not be 'network_slimming' unless every layer is followed by a BatchNormalization "
            f"with a scale, but the channels of {bare[0]!r} have none. Use 'taylor'."
        )


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Returns the mean cross-entropy of a tuple of one logits tensor, in nats per example."""
    return joint_loss(logits, labels, tf.ones(1), label_smoothing=0.0)
