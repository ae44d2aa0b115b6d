"""`Estimates`: an estimator's results for candidates, and full training of the best ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from kgrow.lifecycle import BEST, LAST
from kgrow.run import Run
from kgrow.searching.estimating.estimator import ApproximateObserver, EstimationContext, Estimator
from kgrow.searching.estimating.full import Full
from kgrow.searching.proposals import Proposal, Proposals
from kgrow.searching.trial import Trial, check_same_proposal
from kgrow.searching.trials import NETWORKS_KEPT, OUTCOME, Trials
from kgrow.training import Observer

ESTIMATE, FOLDER = "estimate.json", "estimates"
# Number of candidates trained in full at the end: as many as networks are kept.
FINALISTS = NETWORKS_KEPT


class Estimates:
    """A replacement for `Trials` with the results of an estimator.

    An estimate does not change when its candidate is trained in full, so that a restarted oracle gets the same values.

    Args:
        estimator: Estimator of the candidates' accuracy.
        trials: Trials that train candidates in full.
        proposals: Source of the candidates.
        observer: Observer that is notified of events.
    """

    def __init__(self, estimator: Estimator, trials: Trials, proposals: Proposals, observer: Observer):
        self.estimator, self.trials, self.observer = estimator, trials, observer
        self.context = EstimationContext(trials, proposals, trials.run.child(FOLDER), ApproximateObserver(observer))
        self.found: dict[int, Trial] = {}
        self.proposals: dict[int, Proposal] = {}
        self._are_all_begun = True

    @property
    def at_once(self) -> int:
        """See `Trainable.at_once`; one, because an estimate may depend on the earlier candidates."""
        return 1

    def fits(self, index: int, proposal: Proposal, deadline: float) -> bool:
        """See `Trials.fits`; an estimate is short."""
        fits = not self.are_exact or self.trials.fits(index, proposal, deadline)
        self._are_all_begun &= fits
        return fits

    def begin(self, index: int, proposal: Proposal, deadline: float) -> None:
        """See `Trainable.begin`."""

    def num_begun(self) -> int:
        """See `Trials.num_begun`."""
        return self.trials.num_begun()

    @property
    def are_exact(self) -> bool:
        """Returns whether every candidate is trained in full anyway."""
        return isinstance(self.estimator, Full)

    @property
    def outcomes(self) -> list[Trial]:
        """The outcome of each candidate: trained in full if available, otherwise estimated."""
        return [self._known_in_full(index) or self.found[index] for index in sorted(self.found)]

    @property
    def are_complete(self) -> bool:
        """Returns whether no candidate ran out of time, was left out or ended early for want of it."""
        hurried = {"stopped", "cut"} if self.are_exact else {"stopped"}
        return self._are_all_begun and all(
            trial.status not in hurried for trial in (*self.found.values(), *self.outcomes)
        )

    def train(self, index: int, proposal: Proposal, deadline: float = float("inf")) -> Trial:
        """Returns the estimate of a candidate; see `Trials.train`.

        Raises:
            ValueError: If the oracle proposes another candidate than before an interruption of the search.
        """
        self.proposals[index] = proposal
        known = self._known(index, proposal)
        if self.are_exact and (deadline == float("inf") or self.directory(index).has(OUTCOME)):
            known = None  # what ended because time was limited then; by now it may have been trained to its end
        self.found[index] = known or self._estimated(index, proposal, deadline)
        self._clean()
        return self.found[index]

    def adopt(self) -> None:
        """Records candidates that were trained in full elsewhere."""
        self.found |= self.trials.outcomes

    def train_finalists(self, deadline: float = float("inf")) -> None:
        """Trains the best candidates in full, and further ones for those that fail.

        A candidate whose estimate was not ready in time comes last: without any other it is the result. If candidates
        were trained in full anyway there is nothing to do: those that ended early were behind.
        """
        if self.are_exact:
            return
        stopped = [index for index, trial in self.found.items() if trial.status == "stopped"]
        complete = 0
        for index in [*self._ranked(), *stopped]:
            if complete == FINALISTS:
                break
            trial = self.train_in_full(index, deadline)
            if trial.status == "stopped":
                break
            complete += trial.status == "done"

    def train_in_full(self, index: int, deadline: float = float("inf")) -> Trial:
        """Trains an estimated candidate to its end, or returns its known outcome."""
        known = self._known_in_full(index)
        if known is not None and known.status != "stopped":
            return known
        return self.trials.train(index, self.proposals[index], deadline)

    def directory(self, index: int) -> Run:
        """Returns the sub-directory of a candidate's full training."""
        return self.trials.directory(index)

    def finish(self) -> None:
        """Removes files that only an unfinished search needs."""
        self.trials.finish()
        self.context.run.clear()

    def _known_in_full(self, index: int) -> Trial | None:
        trial = self.trials.outcomes.get(index)
        return None if trial is None or trial.estimated else trial

    def _known(self, index: int, proposal: Proposal) -> Trial | None:
        directory = self.directory(index)
        if directory.has(ESTIMATE):
            trial = directory.read_json(ESTIMATE, Trial)
            check_same_proposal(trial.trial, trial.values, proposal.values)
            return trial
        for earlier in self.found.values():
            if earlier.estimated and earlier.values == proposal.values and earlier.status != "stopped":
                first = earlier.same_as or earlier.trial
                twin = dataclasses.replace(earlier, trial=f"{index:04d}", same_as=first, epochs_trained=0)
                directory.write_json(ESTIMATE, dataclasses.asdict(twin))
                return twin
        return None

    def _estimated(self, index: int, proposal: Proposal, deadline: float) -> Trial:
        estimate = self.estimator.estimate(index, proposal, dataclasses.replace(self.context, deadline=deadline))
        if estimate.is_exact:
            return self.trials.outcomes[index]
        trial = self.trials.estimated(index, proposal, estimate.status, estimate.val_accuracy, estimate.epochs)
        trial = dataclasses.replace(
            trial, epochs_trained=estimate.epochs_trained, error=estimate.error, traceback=estimate.traceback
        )
        if estimate.status != "stopped":
            self.directory(index).write_json(ESTIMATE, dataclasses.asdict(trial))
        if not self.directory(index).has(OUTCOME):
            self.observer.trial_finished(trial.trial, dataclasses.asdict(trial))
        return trial

    def _ranked(self) -> list[int]:
        """Returns the candidates that may win: the highest objective first, then the fewest connections."""
        able = {index: trial for index, trial in self.found.items() if _may_win(trial)}
        return sorted(able, key=lambda i: (-(able[i].objective or 0.0), able[i].kept_params, i))

    def _clean(self) -> None:
        """Removes checkpoints of trials that were cut short, except those that may soon continue."""
        for index in self._cut_and_behind():
            self.directory(index).remove(LAST)
            self.directory(index).remove(BEST)

    def _cut_and_behind(self) -> Iterator[int]:
        leading = [] if self.are_exact else self._ranked()[:FINALISTS]
        cut = (index for index, trial in self.found.items() if trial.status == "cut" and index not in leading)
        return (index for index in cut if not self.directory(index).has(OUTCOME))


def _may_win(trial: Trial) -> bool:
    return trial.objective is not None and trial.same_as is None and trial.status != "stopped"
