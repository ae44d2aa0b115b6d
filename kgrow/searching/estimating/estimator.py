"""`Estimator`: how accurate a candidate will be, for less than its training costs."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kgrow.run import Run
from kgrow.searching.proposals import Proposal, Proposals
from kgrow.searching.trial import Trial
from kgrow.searching.trials import Trials
from kgrow.training import Observer

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What an estimator says of a candidate.

    Args:
        val_accuracy: Of the last head, in [0, 1]; None if there is none.
        status: See `Trial.status`.
        epochs: Length of the training that it stands on.
        epochs_trained: Those of its own; see `Trial.epochs_trained`.
        is_exact: Whether the candidate was trained in full: then its outcome in `EstimationContext.trials` counts.
        error: Why it failed.
        traceback: Where it failed.
    """

    val_accuracy: float | None
    status: str
    epochs: int
    epochs_trained: int
    is_exact: bool = False
    error: str | None = None
    traceback: str | None = None

    @staticmethod
    def of(trial: Trial, expected: float | None = None) -> Estimate:
        """Returns the outcome of a trial as an estimate, exact unless a rule cut it short.

        Args:
            trial: Trained as far as it was.
            expected: Where a rule cut the trial short, the accuracy that this promises; by default that of its best
                epoch.
        """
        promises = trial.status == "cut" and expected is not None
        return Estimate(
            val_accuracy=expected if promises else None if trial.unfinished else trial.val_accuracy,
            status=trial.status,
            epochs=trial.epochs,
            epochs_trained=trial.epochs_trained,
            is_exact=not trial.estimated,
            error=trial.error,
            traceback=trial.traceback,
        )


@dataclasses.dataclass(frozen=True)
class EstimationContext:
    """What an estimator works with during one search.

    Args:
        trials: Trains candidates in full; knows those that were.
        proposals: The space.
        run: For the estimator's own files, removed when the search is complete.
        observer: Told of approximate training: every line that it shows says so.
        deadline: `time.monotonic()` after which no epoch is started.
        kept: See `once`.
    """

    trials: Trials
    proposals: Proposals
    run: Run
    observer: Observer
    deadline: float = float("inf")
    kept: dict[str, Any] = dataclasses.field(default_factory=dict)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Returns what `make` returned when it was first called under this name."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]


class Estimator(abc.ABC):
    """A way to know how accurate a candidate will be. A value: what it remembers of a search is in the context."""

    @abc.abstractmethod
    def estimate(self, index: int, proposal: Proposal, context: EstimationContext) -> Estimate:
        """Estimates the validation accuracy that a candidate has after its whole training.

        The same candidate gets the same estimate, also if the search was interrupted in between.

        Args:
            index: Number of the trial.
            proposal: The candidate.
            context: What to work with.
        """


class ApproximateObserver(Observer):
    """Passes on what approximate training tells, under names that say so; what comes of it is said elsewhere.

    Args:
        observer: Told.
    """

    def __init__(self, observer: Observer):
        self._observer = observer

    def trial_started(self, trial: str, keep_ratios: tuple[float, ...], epochs: int) -> None:
        """See `Observer.trial_started`."""
        self._observer.trial_started(_approximate(trial), keep_ratios, epochs)

    def event(self, trial: str, event: Mapping[str, Any]) -> None:
        """See `Observer.event`."""
        self._observer.event(_approximate(trial), event)

    def progress(self, trial: str, epoch: int, done: int, total: int) -> None:
        """See `Observer.progress`."""
        self._observer.progress(_approximate(trial), epoch, done, total)

    def note(self, text: str) -> None:
        """See `Observer.note`."""
        self._observer.note(text)


def _approximate(trial: str) -> str:
    return f"{trial} (approximate)"
