"""`EpochLoop`: the loop of every training, which goes on where it was interrupted."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from kgrow.run import Run
from kgrow.training.clock import check_time
from kgrow.training.observer import Observer

CHECKPOINT = "checkpoint.npz"
Self = TypeVar("Self", bound="EpochLoop")  # typing has its own from Python 3.11 on


class EpochLoop(abc.ABC):
    """Trains epoch by epoch, and writes between two of them all that the next one depends on.

    Args:
        num_epochs: Length of the training.
        observer: Told of every step.
        name: How the observer knows the training.
    """

    def __init__(self, num_epochs: int, observer: Observer | None = None, name: str = ""):
        self.num_epochs, self.observer, self.name = num_epochs, observer or Observer(), name

    @property
    @abc.abstractmethod
    def num_steps(self) -> int:
        """Steps of an epoch."""

    def begin_epoch(self, epoch: int) -> None:  # noqa: B027 - most trainings change nothing between epochs
        """Makes the changes that are due before an epoch (0-based)."""

    @abc.abstractmethod
    def train_epoch(self, epoch: int, on_step: Callable[[int], None]) -> None:
        """Trains for an epoch and looks at what it has come to.

        Args:
            epoch: 0-based.
            on_step: To be called after each step with the number of steps done.
        """

    @abc.abstractmethod
    def save(self, epoch: int) -> None:
        """Writes the checkpoint after so many epochs."""

    def go_on(
        self: Self,
        epoch: int,
        end: int | None = None,
        *,
        deadline: Callable[[], float] = lambda: float("inf"),
        stop: Callable[[Self], bool] | None = None,
    ) -> int:
        """Trains on to the end.

        Args:
            epoch: Epochs trained so far.
            end: Where to end, if that is before `num_epochs`.
            deadline: Returns the `time.monotonic()` at which training stops, after the step at hand; asked before each
                epoch.
            stop: Asked after every epoch whether training ends here.

        Returns:
            The number of epochs trained, fewer than `end` if `stop` said so.

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
    """A loop whose checkpoint is what it says of itself.

    Args:
        num_epochs: Length of the training.
        folder: Where the checkpoint goes; None writes nothing.
        observer: Told of every step.
        name: How the observer knows the training.
    """

    def __init__(self, num_epochs: int, folder: Run | None = None, observer: Observer | None = None, name: str = ""):
        super().__init__(num_epochs, observer, name)
        self.folder = folder

    @abc.abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Returns all arrays that the next epoch depends on."""

    @abc.abstractmethod
    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Assigns what `state` returned."""

    def progress(self) -> dict[str, Any]:
        """Returns what the next epoch depends on besides, as plain JSON types."""
        return {}

    def load_progress(self, progress: Mapping[str, Any]) -> None:
        """Takes over what `progress` returned."""

    def save(self, epoch: int) -> None:
        """See `EpochLoop.save`."""
        if self.folder is not None:
            self.folder.save_arrays(CHECKPOINT, self.state(), {"epoch": epoch, "progress": self.progress()})

    def restore(self) -> int:
        """Goes back to the checkpoint and returns the epochs trained until then, 0 if there is none."""
        if self.folder is None or not self.folder.has(CHECKPOINT):
            return 0
        state, metadata = self.folder.load_arrays(CHECKPOINT, {"epoch": int, "progress": dict[str, Any]})
        self.load_progress(metadata["progress"])
        self.load_state(state)
        return int(metadata["epoch"])
