"""Structural changes of a network during training: changes as values, and the policies that propose them."""

from kgrow.registry import POLICIES
from kgrow.structure.append_block import AppendBlock
from kgrow.structure.change import Change, Scoring, WeightMap
from kgrow.structure.compaction import Compaction
from kgrow.structure.cut import Cut
from kgrow.structure.decisions import Decisions, settled_since
from kgrow.structure.depth_search import DepthSearch
from kgrow.structure.exchange import Exchange
from kgrow.structure.fixed_growth import FixedGrowth
from kgrow.structure.gradient_noise import GradientNoise
from kgrow.structure.insert import InsertCell, InsertIdentity
from kgrow.structure.interleaved import Interleaved
from kgrow.structure.loss_plateau import LossPlateau
from kgrow.structure.market import Market
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.structure.progressive_resolution import ProgressiveResolution
from kgrow.structure.prune import Prune
from kgrow.structure.regrowth import Regrowth
from kgrow.structure.resize_images import ResizeImages
from kgrow.structure.revive import Revive
from kgrow.structure.scheduled_pruning import ScheduledPruning
from kgrow.structure.statistics import Statistics
from kgrow.structure.trade import Trade
from kgrow.structure.widen import RemoveChannels, Widen

__all__ = [
    "POLICIES",
    "AppendBlock",
    "Change",
    "Compaction",
    "Cut",
    "Decisions",
    "DepthSearch",
    "Exchange",
    "FixedGrowth",
    "GradientNoise",
    "InsertCell",
    "InsertIdentity",
    "Interleaved",
    "LossPlateau",
    "Market",
    "ProgressiveResolution",
    "Prune",
    "Regrowth",
    "RemoveChannels",
    "ResizeImages",
    "Revive",
    "ScheduledPruning",
    "Scoring",
    "Statistics",
    "StructurePolicy",
    "StructureState",
    "Trade",
    "WeightMap",
    "Widen",
    "settled_since",
]
