"""Pruning: importance criteria, schedules and the removal of connections and channels."""

from kgrow.pruning.bayes_link import BayesLink
from kgrow.pruning.channel_criterion import ChannelCriterion, FisherChannel
from kgrow.pruning.channels import channel_groups
from kgrow.pruning.compressible import CompressibleNetwork
from kgrow.pruning.criterion import Criterion
from kgrow.pruning.fisher import FisherPruning
from kgrow.pruning.magnitude import Magnitude
from kgrow.pruning.prune import kept_of, kept_params, prune, prune_channels
from kgrow.pruning.random import Random
from kgrow.pruning.schedule import BayesSchedule, Iterative, NoPruning, OneShot, PruningSchedule
from kgrow.pruning.snip import SNIP
from kgrow.registry import CHANNEL_CRITERIA, CRITERIA, SCOPES

__all__ = [
    "CHANNEL_CRITERIA",
    "CRITERIA",
    "SCOPES",
    "SNIP",
    "BayesLink",
    "BayesSchedule",
    "ChannelCriterion",
    "CompressibleNetwork",
    "Criterion",
    "FisherChannel",
    "FisherPruning",
    "Iterative",
    "Magnitude",
    "NoPruning",
    "OneShot",
    "PruningSchedule",
    "Random",
    "channel_groups",
    "kept_of",
    "kept_params",
    "prune",
    "prune_channels",
]
