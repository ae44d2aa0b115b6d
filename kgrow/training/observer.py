"""`Observer`: who is told what a run does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

Self = TypeVar("Self", bound="Observer")  # typing has its own from Python 3.11 on


class Observer:
    """Told about a search; this one says nothing. Displays override what they show.

    A context manager, because a display may hold the terminal: the search runs inside `with observer:`.
    """

    def __enter__(self: Self) -> Self:
        """Starts the display."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the display, also after an error or Ctrl-C."""

    def search_started(self, epochs: Sequence[int]) -> None:
        """A search begins.

        Args:
            epochs: Per trial that is still to be trained, in order, the epochs that it trains itself: those it takes
                over from another trial's snapshot are left out. The time left is estimated from it.
        """

    def time_limited(self, seconds: float) -> None:
        """The search may still train for so many seconds."""

    def trial_started(self, trial: str, keep_ratios: tuple[float, ...], epochs: int) -> None:
        """A trial begins or is taken up again."""

    def event(self, trial: str, event: Mapping[str, Any]) -> None:
        """An event was appended to the trial's log."""

    def progress(self, trial: str, epoch: int, done: int, total: int) -> None:
        """So many of an epoch's steps are done."""

    def trial_finished(self, trial: str, outcome: Mapping[str, Any]) -> None:
        """A trial has ended."""

    def note(self, text: str) -> None:
        """Something that the user should know, said once."""
