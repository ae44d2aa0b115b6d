"""`EpochLoop`: the loop of every training, which can resume after an interruption."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from kgrow.run import Run
from kgrow.training.clock import check_time
from kgrow.training.observer import Observer

CHECKPOINT = "checkpoint.npz"
Self = TypeVar("Self", bound="EpochLoop")  # available in typing from Python 3.11 on


class EpochLoop(abc.ABC):
    """Trains epoch by epoch, and writes a checkpoint between two of them.

    Args:
        num_epochs: Number of epochs of the training.
        observer: Observer that is notified of every step.
        name: Name of the training for the observer.
    """

    def __init__(self, num_epochs: int, observer: Observer | None = None, name: str = ""):
        self.num_epochs, self.observer, self.name = num_epochs, observer or Observer(), name

    @property
    @abc.abstractmethod
    def num_steps(self) -> int:
        """The number of steps of an epoch."""

    def begin_epoch(self, epoch: int) -> None:  # noqa: B027 - most trainings change nothing between epochs
        """Makes the changes that are due before an epoch (0-based)."""

    @abc.abstractmethod
    def train_epoch(self, epoch: int, on_step: Callable[[int], None]) -> None:
        """Trains for an epoch and evaluates the result.

        Args:
            epoch: Number of the epoch, from 0.
            on_step: Function to call after each step with the number of steps done.
        """

    @abc.abstractmethod
    def save(self, epoch: int) -> None:
        """Writes the checkpoint after `epoch` epochs."""

    def go_on(
        self: Self,
        epoch: int,
        end: int | None = None,
        *,
        deadline: Callable[[], float] = lambda: float("inf"),
        stop: Callable[[Self], bool] | None = None,
    ) -> int:
        """Continues the training to the end.

        Args:
            epoch: Number of epochs trained so far.
            end: Number of epochs to train, if below `num_epochs`.
            deadline: Function that returns the `time.monotonic()` value at which training stops, after the current
                step; called before each epoch.
            stop: Function called after every epoch; True ends the training.

        Returns:
            The number of epochs trained; fewer than `end` if `stop` ended the training.

        Raises:
            OutOfTimeError: If the deadline passed before the end.
        """
        end = end or self.num_epochs
        while epoch < end:
            if epoch and stop is not None and stop(self):
                break
            until = deadline()
            check_time(until, epoch)
            self.begin_epoch(epoch)
            self.train_epoch(epoch, self._watch(epoch, until))
            epoch += 1
            self.save(epoch)
        return epoch

    def _watch(self, epoch: int, until: float) -> Callable[[int], None]:
        total = self.num_steps

        def on_step(done: int) -> None:
            self.observer.progress(self.name, epoch, done, total)
            check_time(until if done < total else float("inf"), epoch)

        return on_step


class ResumableLoop(EpochLoop):
    """A loop whose checkpoint consists of its own state and progress.

    Args:
        num_epochs: Number of epochs of the training.
        folder: Folder of the checkpoint; None writes nothing.
        observer: Observer that is notified of every step.
        name: Name of the training for the observer.
    """

    def __init__(self, num_epochs: int, folder: Run | None = None, observer: Observer | None = None, name: str = ""):
        super().__init__(num_epochs, observer, name)
        self.folder = folder

    @abc.abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Returns all arrays that the next epoch depends on."""

    @abc.abstractmethod
    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Assigns the values that `state` returned."""

    def progress(self) -> dict[str, Any]:
        """Returns everything else that the next epoch depends on, as plain JSON types."""
        return {}

    def load_progress(self, progress: Mapping[str, Any]) -> None:
        """Restores the values that `progress` returned."""

    def save(self, epoch: int) -> None:
        """See `EpochLoop.save`."""
        if self.folder is not None:
            self.folder.save_arrays(CHECKPOINT, self.state(), {"epoch": epoch, "progress": self.progress()})

    def restore(self) -> int:
        """Restores the checkpoint and returns its number of trained epochs, 0 if there is none."""
        if self.folder is None or not self.folder.has(CHECKPOINT):
            return 0
        state, metadata = self.folder.load_arrays(CHECKPOINT, {"epoch": int, "progress": dict[str, Any]})
        self.load_progress(metadata["progress"])
        self.load_state(state)
        return int(metadata["epoch"])
