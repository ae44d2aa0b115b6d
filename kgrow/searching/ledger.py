"""`Ledger`: an oracle whose every answer is logged, so that it can be brought back to where it was."""

from __future__ import annotations

from typing import Any

from kgrow._keras import quiet_stderr
from kgrow.run import Run
from kgrow.searching.proposals import Proposals
from kgrow.searching.trial import Trial, check_same
from kgrow.searching.trials import OUTCOME, Trials
from kgrow.searching.tuner import metrics, tell_values

with quiet_stderr():
    from keras_tuner.src.engine.trial import Trial as KerasTrial
    from keras_tuner.src.engine.trial import TrialStatus

ALONE = "alone"  # who trained the trials that ended before there were workers


class Ledger:
    """Gives trials to workers and takes their outcomes, in an order that the search's event log remembers.

    What an oracle proposes depends on the order in which trials began and ended, which on several machines is never the
    same twice. So the order is logged, and a chief that was killed asks the seeded oracle for everything once more in
    that order: KerasTuner's own files are not written as a whole and may be torn. Trials that were going on are still
    their workers' until their leases end.

    Args:
        oracle: Decides what is tried next.
        proposals: Turns hyper-parameters into candidates that fit.
        trials: Holds the outcomes.
        run: The search's directory.

    Raises:
        ValueError: If the oracle does not propose again what the log says that it proposed.
    """

    def __init__(self, oracle: Any, proposals: Proposals, trials: Trials, run: Run):
        self.oracle, self.proposals, self.trials, self.run = oracle, proposals, trials, run
        self._stopped = self._asked_in_vain = False
        for number, event in enumerate(run.events(), start=1):
            try:
                self._replay(event)
            except LookupError as error:  # nothing of the kind, or no such trial or worker
                raise ValueError(
                    f"The log of '{run.path}' must hold what a chief wrote, but event {number} is {event}. Start the "
                    "run over (`overwrite=True`, or another `directory`)."
                ) from error

    @property
    def is_over(self) -> bool:
        """Whether every trial has ended and none is to come."""
        return (self._stopped or self._is_full) and not self.unfinished

    @property
    def unfinished(self) -> list[str]:
        """The trials that have begun and not ended."""
        return [*(trial.trial_id for trial in self.oracle.ongoing_trials.values()), *self.oracle._retry_queue]

    def holders(self) -> list[str]:
        """Returns the workers that have a trial."""
        return list(self.oracle.ongoing_trials)

    def holds(self, worker: str, trial_id: str) -> bool:
        """Returns whether a trial is a worker's."""
        trial = self.oracle.ongoing_trials.get(worker)
        return trial is not None and trial.trial_id == trial_id

    def create(self, worker: str) -> Any:
        """Returns the worker's trial: the one that it has, one that was lost, or a new one.

        A worker may only go (status STOPPED) when all trials have ended: until then another one may be lost.
        """
        if worker in self.oracle.ongoing_trials:
            return self.oracle.create_trial(worker)
        # That there are as many as were asked for is not logged: the search may be given more.
        if self._asked_in_vain or (self._is_full and not self.oracle._retry_queue):
            status = TrialStatus.IDLE if self.unfinished else TrialStatus.STOPPED
            return KerasTrial(self.oracle.get_space(), status=status)
        trial = self.oracle.create_trial(worker)
        if trial.status == TrialStatus.RUNNING:
            self._log("created", trial, worker=worker, values=dict(trial.hyperparameters.values))
        elif self.unfinished:
            trial.status = TrialStatus.IDLE
            # It drew all the same: what it proposes next depends on it.
            self._asked_in_vain = True
            self.run.append({"event": "asked", "worker": worker})
        elif trial.status == TrialStatus.STOPPED and not self._stopped:
            self._stopped = True
            self.run.append({"event": "stopped"})
        return trial

    def adopt(self) -> None:
        """Takes in the trials that ended one after the other before there were workers."""
        while self.trials.directory(len(self.oracle.trials)).has(OUTCOME):
            trial = self.create(ALONE)
            if trial.status != TrialStatus.RUNNING:  # the oracle has ended: it was given fewer trials than before
                return
            outcome = self.trials.directory(int(trial.trial_id)).read_json(OUTCOME, Trial)
            check_same(outcome.trial, outcome.values, self.proposals.sample(trial.hyperparameters).values)
            self.end(trial.trial_id)

    def lose(self, worker: str) -> str | None:
        """Takes its trial from a worker that is gone; the next one that asks gets it. Returns its number."""
        if worker not in self.oracle.ongoing_trials:
            return None
        trial = self.oracle.ongoing_trials.pop(worker)
        self.oracle._retry_queue.append(trial.trial_id)
        self._asked_in_vain = False
        self._log("lost", trial, worker=worker)
        return trial.trial_id

    def end(self, trial_id: str) -> Trial:
        """Tells the oracle of an outcome, which the run holds already."""
        outcome = self._end(trial_id)
        self._log("ended", self.oracle.trials[trial_id])
        return outcome

    def leave(self) -> None:
        """Takes note of what has not ended when the time is over."""
        for trial_id in self.unfinished:
            self.trials.leave(int(trial_id), self.proposals.sample(self.oracle.trials[trial_id].hyperparameters))

    @property
    def _is_full(self) -> bool:
        return bool(self.oracle.max_trials) and len(self.oracle.trials) >= self.oracle.max_trials

    def _end(self, trial_id: str) -> Trial:
        index, trial = int(trial_id), self.oracle.trials[trial_id]
        outcome = self.trials.directory(index).read_json(OUTCOME, Trial)
        tell_values(self.oracle, trial.hyperparameters.values, outcome.values)
        trial.status, trial.message = TrialStatus.FAILED, outcome.traceback or outcome.error
        if outcome.objective is not None:
            self.oracle.update_trial(trial_id, metrics(outcome))
            trial.status = TrialStatus.COMPLETED
        self.oracle.end_trial(trial)
        self._asked_in_vain = False
        self.trials.accept(index, outcome)
        return outcome

    def _log(self, event: str, trial: Any, **more: Any) -> None:
        self.run.append({"event": event, "trial": trial.trial_id, **more})

    def _replay(self, event: dict[str, Any]) -> None:
        if event["event"] == "stopped":
            self._stopped = True
        elif event["event"] == "lost":
            self._asked_in_vain = False
            self.oracle._retry_queue.append(self.oracle.ongoing_trials.pop(event["worker"]).trial_id)
        elif event["event"] == "ended":
            self._end(self._padded(event["trial"]))
        else:
            trial = self.oracle.create_trial(event["worker"])
            self._asked_in_vain = event["event"] == "asked"
            if not self._asked_in_vain:
                proposed = {"number": trial.trial_id, **trial.hyperparameters.values}
                check_same(event["trial"], {"number": self._padded(event["trial"]), **event["values"]}, proposed)

    def _padded(self, trial_id: str) -> str:
        """Returns what KerasTuner calls a trial now: numbers are as long as that of all trials."""
        return trial_id.lstrip("0").zfill(len(str(self.oracle.max_trials)))
