"""Which connections matter, when they are removed, and how far."""

from collections.abc import Callable

from kgrow.bayes import MonteCarloFisher
from kgrow.pruning.bayes import Bayes
from kgrow.pruning.bayes_link import BayesLink
from kgrow.pruning.channel_criterion import CHANNEL_CRITERIA, BayesGate, ChannelCriterion
from kgrow.pruning.channels import channel_groups
from kgrow.pruning.compressible import CompressibleNetwork
from kgrow.pruning.criterion import Criterion
from kgrow.pruning.magnitude import Magnitude
from kgrow.pruning.prune import SCOPES, kept_of, kept_params, prune, prune_channels
from kgrow.pruning.random import Random
from kgrow.pruning.schedule import BayesSchedule, Iterative, NoPruning, OneShot, PruningSchedule
from kgrow.pruning.snip import SNIP

# By the name used on the command line; each takes the run's seed.
CRITERIA: dict[str, Callable[[int], Criterion]] = {
    "snip": lambda seed: SNIP(seed=seed),
    "snip_reinit": lambda seed: SNIP(reinitialize=True, seed=seed),
    "magnitude": lambda seed: Magnitude(),
    "bayes": lambda seed: Bayes(curvature=MonteCarloFisher(seed=seed)),
    "bayes_link": lambda seed: BayesLink(curvature=MonteCarloFisher(seed=seed)),
    "random": lambda seed: Random(seed),
}

__all__ = [
    "CHANNEL_CRITERIA",
    "CRITERIA",
    "SCOPES",
    "SNIP",
    "Bayes",
    "BayesGate",
    "BayesLink",
    "BayesSchedule",
    "ChannelCriterion",
    "CompressibleNetwork",
    "Criterion",
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
