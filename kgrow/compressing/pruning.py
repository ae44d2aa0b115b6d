"""One pruning step of a user's model: channels, then the connections inside, then what has become useless."""

from __future__ import annotations

import numpy as np

from kgrow.compressing.fine_tuning import cross_entropy
from kgrow.compressing.graph import Graph
from kgrow.compressing.groups import GraphGroups
from kgrow.compressing.masked import MaskedModel
from kgrow.compressing.plan import Plan
from kgrow.pruning import ChannelCriterion, prune
from kgrow.pruning.batches import saliency_batches
from kgrow.pruning.channel_criterion import NormScale
from kgrow.pruning.prune import prune_groups
from kgrow.task import Split

SALIENCY_EXAMPLES = 1024


def prune_before(epoch: int, network: MaskedModel, split: Split, plan: Plan) -> bool:
    """Prunes what is due before an epoch.

    Args:
        epoch: 0-based.
        network: Pruned in place.
        split: Of training images, to score on.
        plan: How far.

    Returns:
        Whether something was due.
    """
    channels, connections = (plan.schedule.due(epoch, (ratio,)) for ratio in (plan.channel_keep_ratio, plan.keep_ratio))
    if not channels:
        return False
    batches = saliency_batches(split, SALIENCY_EXAMPLES, (plan.seed, epoch, 1))
    groups, multiple_of = network.grouped.groups, plan.channel_multiple
    # Ranked all together, a criterion that depends on a layer's scale would cut a layer down to its last channel.
    channels = dict.fromkeys(groups.blocks.tolist(), channels[0])
    prune_groups(network, groups, channels, plan.channel_criterion, batches, cross_entropy, multiple_of)
    network.remove_dead_channels()
    prune(network, connections, plan.criterion, batches, cross_entropy)
    network.remove_dead_channels()
    return True


def check_scores(criterion: ChannelCriterion, graph: Graph, grouped: GraphGroups) -> None:
    """Checks that a criterion can tell the channels of a graph apart.

    Raises:
        ValueError: If it is the scale of batch normalisation, and some layer's channels have none.
    """
    if not isinstance(criterion, NormScale):
        return
    has_scale = np.zeros(len(grouped.groups) + 1, bool)
    has_scale[-1] = True  # the place of what is no channel
    for name, owners in grouped.groups.gates.items():
        if name.endswith("/gamma"):
            has_scale[owners] = True
    bare = [node.name for node in graph.nodes if not has_scale[grouped.made[node.name]].all()]
    if bare:
        raise ValueError(
            "`channel_criterion` must not be 'bn_scale' unless every layer is followed by a BatchNormalization with a "
            f"scale, but the channels of {bare[0]!r} have none. Use 'gate'."
        )
