"""Trials that share their work: candidates that agree up to a pruning event train that prefix once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence

from kgrow.lifecycle import BEST, LAST, Lifecycle, Observer, OutOfTimeError, Settings, Snapshot, TrainingDivergedError
from kgrow.pruning import PruningSchedule, kept_params
from kgrow.run import Run
from kgrow.searching.space import Candidate
from kgrow.task import Task

OUTCOME = "outcome.json"


@dataclasses.dataclass(frozen=True)
class Trial:
    """What became of one candidate.

    Args:
        trial: Its name, and that of its directory under `trials/`.
        keep_ratios: Per block.
        status: `"done"`, `"stopped"` (out of time), `"failed"` or `"waiting"`.
        val_accuracy: The final head's, at the checkpoint that was kept; None if there is none.
        prunable_params: Connections of the full network.
        kept_params: Connections that the final masks keep.
        epochs_trained: Epochs of its own, without those of a shared prefix.
        error: Why it failed.
    """

    trial: str
    keep_ratios: tuple[float, ...]
    status: str
    val_accuracy: float | None
    prunable_params: int
    kept_params: int
    epochs_trained: int = 0
    error: str | None = None


def pruning_history(schedule: PruningSchedule, keep_ratios: Sequence[float], epoch: int) -> list[list]:
    """Returns all pruning before an epoch as `[epoch, [[block, ratio], ...]]`: equal histories, equal networks."""
    events = ((e, sorted(schedule.due(e, keep_ratios).items())) for e in range(epoch))
    return [[e, [list(item) for item in due]] for e, due in events if due]


def divergence(schedule: PruningSchedule, first: Sequence[float], second: Sequence[float], epochs: int) -> int:
    """Returns the first epoch whose pruning differs, or `epochs` if none does."""
    different = (e for e in range(epochs) if schedule.due(e, first) != schedule.due(e, second))
    return next(different, epochs)


class Trials:
    """Trains candidates one after the other in sub-directories of a run, each shared prefix once.

    A prefix is exact, not an approximation: a forked trial ends bit for bit like one trained alone.

    Args:
        task: The data.
        candidates: What to try.
        settings: Common to all candidates.
        run: The search's directory.
        observer: Told what happens.
    """

    def __init__(self, task: Task, candidates: Sequence[Candidate], settings: Settings, run: Run, observer: Observer):
        self.task, self.candidates, self.settings, self.run, self.observer = task, candidates, settings, run, observer
        self.schedule = settings.preset.pruning_schedule()

    def train(self, deadline: float = float("inf")) -> list[Trial]:
        """Trains what is not trained yet and returns one `Trial` per candidate.

        Args:
            deadline: `time.monotonic()` after which no epoch is started.
        """
        trials = [self._known(index) for index in range(len(self.candidates))]
        waiting = [index for index, trial in enumerate(trials) if trial.status == "waiting"]
        self.observer.search_started([self._own_epochs(index) for index in waiting])
        self._clean(trials)  # a kill may have come between a trial's outcome and this
        for index, trial in enumerate(trials):
            if trial.status == "waiting":
                trials[index] = self._train(index, trials, deadline)
                self._clean(trials)
                if trials[index].status == "stopped":
                    break
        return trials

    def best(self, trials: Sequence[Trial]) -> int | None:
        """Returns the index of the best validation accuracy (then fewest connections), None if no trial has one."""
        ranked = [
            (-trial.val_accuracy, trial.kept_params, index)
            for index, trial in enumerate(trials)
            if trial.val_accuracy is not None
        ]
        return min(ranked)[2] if ranked else None

    def directory(self, index: int) -> Run:
        """Returns the sub-directory of a trial."""
        return self.run.child(f"trials/{index:04d}")

    def _known(self, index: int) -> Trial:
        directory = self.directory(index)
        if directory.has(OUTCOME):
            outcome = directory.read_json(OUTCOME)
            return Trial(**{**outcome, "keep_ratios": tuple(outcome["keep_ratios"])})
        return self._trial(index, "waiting")

    def _own_epochs(self, index: int) -> int:
        """Returns the epochs of a trial that no earlier trial trains for it."""
        candidate, epochs = self.candidates[index], self.settings.preset.epochs
        shared = (
            divergence(self.schedule, candidate.keep_ratios, earlier.keep_ratios, epochs)
            for earlier in self.candidates[:index]
            if earlier.architecture == candidate.architecture
        )
        return epochs - max(shared, default=0)

    def _trial(self, index: int, status: str, **outcome: object) -> Trial:
        candidate = self.candidates[index]
        kept = kept_params(candidate.architecture, candidate.keep_ratios, self.settings.scope)
        size = candidate.architecture.kernel_params()
        values = {"val_accuracy": None, **outcome}
        return Trial(f"{index:04d}", candidate.keep_ratios, status, prunable_params=size, kept_params=kept, **values)  # type: ignore[arg-type]

    def _train(self, index: int, trials: Sequence[Trial], deadline: float) -> Trial:
        candidate, directory = self.candidates[index], self.directory(index)
        self.observer.trial_started(directory.path.name, candidate.keep_ratios, self.settings.preset.epochs)
        lifecycle = Lifecycle(
            self.task, candidate.architecture, candidate.keep_ratios, self.settings, directory, self.observer
        )
        start = self._deepest_prefix(candidate)
        status, error = "done", None
        try:
            lifecycle.train(start, self._snapshots(index, trials), deadline)
        except OutOfTimeError:
            status = "stopped"
        except TrainingDivergedError as problem:
            status, error = "failed", str(problem)
        best = [event["val_accuracy"][-1] for event in lifecycle.events if event.get("is_best")]
        # A prefix that this trial left before it was interrupted may reach further than what others trained for it.
        taken_over = min(start.epoch, self.settings.preset.epochs - self._own_epochs(index)) if start else 0
        epochs = sum(event["event"] == "epoch" for event in lifecycle.events) - taken_over
        outcome = {"val_accuracy": best[-1] if best else None, "epochs_trained": epochs, "error": error}
        if status == "failed":
            outcome["val_accuracy"] = None
        trial = self._trial(index, status, **outcome)
        if status == "done":  # whole channels take connections along that the keep ratios would have left
            trial = dataclasses.replace(trial, kept_params=lifecycle.network.kept_params())
        if status != "stopped":
            directory.write_json(OUTCOME, dataclasses.asdict(trial))
        self.observer.trial_finished(directory.path.name, dataclasses.asdict(trial))
        return trial

    def _clean(self, trials: Sequence[Trial]) -> None:
        """Keeps the best network and what unfinished trials still need."""
        # A stopped trial may end worse than it is now, so the best of the finished ones stays.
        best = self.best([t if t.status == "done" else dataclasses.replace(t, val_accuracy=None) for t in trials])
        for index, trial in enumerate(trials):
            if trial.status in ("done", "failed"):
                self.directory(index).remove(LAST)
                if index != best:
                    self.directory(index).remove(BEST)
        if all(trial.status in ("done", "failed") for trial in trials):
            self.run.child("prefixes").clear()

    def _prefix_name(self, candidate: Candidate, epoch: int) -> str:
        history = pruning_history(self.schedule, candidate.keep_ratios, epoch)
        content = json.dumps([candidate.architecture.to_json(), history])
        return f"prefixes/{epoch:04d}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.npz"

    def _deepest_prefix(self, candidate: Candidate) -> Snapshot | None:
        for epoch in range(self.settings.preset.epochs - 1, 0, -1):
            name = self._prefix_name(candidate, epoch)
            if self.run.has(name):
                return Snapshot.load(self.run, name)
        return None

    def _snapshots(self, index: int, trials: Sequence[Trial]) -> dict[int, Callable[[Snapshot], None]]:
        """Returns where this trial's path leaves those of trials that are still waiting."""
        candidate = self.candidates[index]
        epochs = self.settings.preset.epochs
        forks = {
            divergence(self.schedule, candidate.keep_ratios, self.candidates[other].keep_ratios, epochs)
            for other, trial in enumerate(trials)
            if other != index
            and trial.status == "waiting"
            and self.candidates[other].architecture == candidate.architecture
        }
        names = {epoch: self._prefix_name(candidate, epoch) for epoch in forks if 0 < epoch < epochs}
        return {
            epoch: lambda snapshot, name=name: snapshot.save(self.run, name)  # type: ignore[misc]
            for epoch, name in names.items()
            if not self.run.has(name)
        }
