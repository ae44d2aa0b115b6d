"""The step, the loop and the loss of all trainings."""

from kgrow.training.best import accuracy_to_reach
from kgrow.training.clock import OutOfTimeError
from kgrow.training.loop import EpochLoop, ResumableLoop
from kgrow.training.loss import joint_loss
from kgrow.training.observer import Observer
from kgrow.training.step import TrainingDivergedError, TrainingStep, check_finite, half_cosine

__all__ = [
    "EpochLoop",
    "Observer",
    "OutOfTimeError",
    "ResumableLoop",
    "TrainingDivergedError",
    "TrainingStep",
    "accuracy_to_reach",
    "check_finite",
    "half_cosine",
    "joint_loss",
]
