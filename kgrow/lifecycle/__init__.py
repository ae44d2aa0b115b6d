"""The lifecycle of a network: growth, pruning, training, checkpoints."""

from kgrow.lifecycle.checkpoint import Snapshot
from kgrow.lifecycle.lifecycle import BEST, LAST, Lifecycle
from kgrow.lifecycle.preset import Preset
from kgrow.lifecycle.settings import ChannelPruning, Settings
from kgrow.lifecycle.trainer import TrainerPool
from kgrow.registry import PRESETS

__all__ = [
    "BEST",
    "LAST",
    "PRESETS",
    "ChannelPruning",
    "Lifecycle",
    "Preset",
    "Settings",
    "Snapshot",
    "TrainerPool",
]
