"""`EpochSearch`: an epoch-by-epoch search for cells that can resume after an interruption."""

from __future__ import annotations

import abc
import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from kgrow.run import Run
from kgrow.task import Task
from kgrow.training import ResumableLoop

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class SearchRecord:
    """The course of a search.

    Args:
        losses: Mean loss of every epoch.
        open_gates: Open gates of each group after every loop.
        was_readmitted: Whether some cell had lost its last path and the best one was restored.
        seconds: Total time in seconds.
    """

    losses: tuple[float, ...]
    open_gates: tuple[tuple[int, ...], ...]
    was_readmitted: bool
    seconds: float


class EpochSearch(ResumableLoop, Generic[Result]):
    """The base class of cell searches.

    Args:
        task: Task to search on; only its training split is used.
        num_epochs: Number of epochs of the search.
        seed: Random seed.
    """

    def __init__(self, task: Task, num_epochs: int, seed: int):
        super().__init__(num_epochs)
        self.task, self.seed = task, seed
        self.losses: list[float] = []
        self.open_gates: list[tuple[int, ...]] = []
        self.seconds = 0.0
        self._on_epoch: Callable[[str], None] = lambda line: None

    @abc.abstractmethod
    def config(self) -> dict[str, Any]:
        """Returns all settings that decide the result of the search, besides task and seed; plain JSON types."""

    @abc.abstractmethod
    def search_epoch(self, epoch: int, on_step: Callable[[int], None]) -> float:
        """Trains for an epoch, decides what is due, and returns the loss. See `EpochLoop.train_epoch`."""

    @abc.abstractmethod
    def result(self) -> Result:
        """Returns the result of a finished search."""

    def run(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
        on_epoch: Callable[[str], None] = lambda line: None,
    ) -> Result:
        """Searches to the end, or resumes an equal search that was interrupted.

        Args:
            directory: Directory where the search is written after every epoch. The same call resumes it, with the same
                result as without an interruption. None writes nothing.
            overwrite: Whether a search there is started over.
            on_epoch: Function called with a line after every epoch, such as `print`.

        Raises:
            ValueError: If the directory contains another search, an epoch has fewer images than a batch, or `overwrite`
                is set for a search that has already trained.
            ArithmeticError: If the loss is no longer a number.
            OSError: See `kgrow.run.Run.open`.
        """
        if overwrite and self.losses:
            raise ValueError(
                f"`overwrite` needs a search that has not begun, but this one has trained {len(self.losses)} epochs: "
                "its gates are no longer fresh. Make the space and the search anew."
            )
        self._on_epoch = on_epoch
        if directory is None:
            self.go_on(len(self.losses))
            return self.result()
        data = {"name": self.task.name, "fingerprint": self.task.fingerprint}
        with Run.open(directory, {"task": data, **self.config(), "seed": self.seed}, overwrite=overwrite) as run:
            self.folder = run
            self.restore()
            # An interrupted epoch leaves half-trained weights: the next call restores these.
            super().save(len(self.losses))
            self.go_on(len(self.losses))
        return self.result()

    def train_epoch(self, epoch: int, on_step: Callable[[int], None]) -> None:
        """See `EpochLoop.train_epoch`."""
        started = time.monotonic()
        self.losses.append(self.search_epoch(epoch, on_step))
        self.seconds += time.monotonic() - started

    def save(self, epoch: int) -> None:
        """See `EpochLoop.save`."""
        super().save(epoch)
        gates = f", open gates {' '.join(map(str, self.open_gates[-1]))}" if self.open_gates else ""
        self._on_epoch(f"epoch {epoch} of {self.num_epochs}: loss {self.losses[-1]:.3f}{gates}")

    def progress(self) -> dict[str, Any]:
        """See `ResumableLoop.progress`."""
        return {"losses": self.losses, "open_gates": self.open_gates, "seconds": self.seconds}

    def load_progress(self, progress: Mapping[str, Any]) -> None:
        """See `ResumableLoop.load_progress`."""
        self.losses, self.seconds = progress["losses"], progress["seconds"]
        self.open_gates = [tuple(counts) for counts in progress["open_gates"]]
