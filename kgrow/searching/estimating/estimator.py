"""`Estimator`: estimates a candidate's accuracy at a lower cost than its training."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kgrow.run import Run
from kgrow.searching.proposals import Proposal, Proposals
from kgrow.searching.trial import Trial
from kgrow.searching.trials import Trials
from kgrow.training import Observer

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Estimate:
    """An estimator's result for a candidate.

    Args:
        val_accuracy: Validation accuracy of the last head, in [0, 1]; None if there is none.
        status: Status of the candidate; see `Trial.status`.
        epochs: Number of epochs of the training on which it is based.
        epochs_trained: Number of the candidate's own epochs; see `Trial.epochs_trained`.
        is_exact: Whether the candidate was trained in full; then its outcome in `EstimationContext.trials` is used.
        error: Message of the failure.
        traceback: Traceback of the failure.
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
            trial: Trial in its current state.
            expected: Predicted final accuracy of a trial that a rule cut short; by default that of its best epoch.
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


def accuracies_of(events: Sequence[Mapping[str, Any]]) -> list[float]:
    """Returns the validation accuracy of the last head after every epoch of a log, in [0, 1]."""
    return [event["val_accuracy"][-1] for event in events if event["event"] == "epoch"]


@dataclasses.dataclass(frozen=True)
class EstimationContext:
    """The objects available to an estimator during one search.

    Args:
        trials: Trials that train candidates in full and have the outcomes of those already trained.
        proposals: Proposals of the space.
        run: Run directory for the estimator's own files, removed when the search is complete.
        observer: Observer that is notified of approximate training and marks every line as approximate.
        deadline: `time.monotonic()` value after which no epoch is started.
        kept: Results of `once`, by name.
    """

    trials: Trials
    proposals: Proposals
    run: Run
    observer: Observer
    deadline: float = float("inf")
    kept: dict[str, Any] = dataclasses.field(default_factory=dict)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Returns the result of the first call of `make` under this name."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]


class Estimator(abc.ABC):
    """A method to estimate a candidate's accuracy. It is immutable: the state of a search is in the context."""

    @abc.abstractmethod
    def estimate(self, index: int, proposal: Proposal, context: EstimationContext) -> Estimate:
        """Estimates the validation accuracy that a candidate has after its whole training.

        The same candidate gets the same estimate, also after an interruption of the search.

        Args:
            index: Number of the trial.
            proposal: Candidate to estimate.
            context: Objects available during the search.
        """


class ApproximateObserver(Observer):
    """Passes on notifications of approximate training, under names that mark them; outcomes are reported elsewhere.

    Args:
        observer: Observer that gets the notifications.
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
