"""The life of a network: growth, pruning, training, checkpoints."""

from kgrow.lifecycle.checkpoint import Snapshot
from kgrow.lifecycle.clock import OutOfTimeError
from kgrow.lifecycle.lifecycle import BEST, LAST, Lifecycle, TrainingDivergedError
from kgrow.lifecycle.observer import Observer
from kgrow.lifecycle.preset import Preset
from kgrow.lifecycle.settings import ChannelPruning, Settings
from kgrow.lifecycle.trainer import TrainerPool
from kgrow.lifecycle.validation import accuracy_per_head
from kgrow.registry import PRESETS

__all__ = [
    "BEST",
    "LAST",
    "PRESETS",
    "ChannelPruning",
    "Lifecycle",
    "Observer",
    "OutOfTimeError",
    "Preset",
    "Settings",
    "Snapshot",
    "TrainerPool",
    "TrainingDivergedError",
    "accuracy_per_head",
]
