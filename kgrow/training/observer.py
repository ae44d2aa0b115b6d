"""`Observer`: the interface for notifications of a run's events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

Self = TypeVar("Self", bound="Observer")  # available in typing from Python 3.11 on


class Observer:
    """Receives the notifications of a search; this class ignores them. Displays override the methods they show.

    It is a context manager, because a display may control the terminal: the search runs inside `with observer:`.
    """

    def __enter__(self: Self) -> Self:
        """Starts the display."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the display, also after an error or Ctrl-C."""

    def search_started(self, epochs: Sequence[int], costs: Sequence[float] = ()) -> None:
        """Receives the start of a search; its arguments are used to estimate the remaining time.

        Args:
            epochs: Number of epochs of each trial that is still to be trained, in order, without epochs that come from
                another trial's snapshot.
            costs: Expected time of each epoch of a trial, in any unit; empty if it is not known.
        """

    def time_limited(self, seconds: float) -> None:
        """Receives the number of seconds for which the search may still train."""

    def trial_started(self, trial: str, keep_ratios: tuple[float, ...], epochs: int) -> None:
        """Receives the start or the resumption of a trial."""

    def event(self, trial: str, event: Mapping[str, Any]) -> None:
        """Receives an event that was appended to the trial's log."""

    def progress(self, trial: str, epoch: int, done: int, total: int) -> None:
        """Receives the number of an epoch's steps that are done."""

    def trial_finished(self, trial: str, outcome: Mapping[str, Any]) -> None:
        """Receives the end of a trial."""

    def note(self, text: str) -> None:
        """Receives a note for the user, once."""
