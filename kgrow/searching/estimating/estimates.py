"""`Estimates`: candidates as an estimator sees them, and the best of them trained in full."""

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
# Candidates that are trained in full at the end: as many as networks are kept.
FINALISTS = NETWORKS_KEPT


class Estimates:
    """Answers for `Trials` with what an estimator says.

    An estimate stays what it was once its candidate is trained in full, so that an oracle that starts again is told
    the same.

    Args:
        estimator: Says how accurate candidates will be.
        trials: Trains candidates in full.
        proposals: Where the candidates come from.
        observer: Told what happens.
    """

    def __init__(self, estimator: Estimator, trials: Trials, proposals: Proposals, observer: Observer):
        self.estimator, self.trials, self.observer = estimator, trials, observer
        self.context = EstimationContext(trials, proposals, trials.run.child(FOLDER), ApproximateObserver(observer))
        self.found: dict[int, Trial] = {}
        self.proposals: dict[int, Proposal] = {}

    @property
    def at_once(self) -> int:
        """See `Trainable.at_once`: what an estimator knows of the candidates before may decide."""
        return 1

    def begin(self, index: int, proposal: Proposal, deadline: float) -> None:
        """See `Trainable.begin`."""

    def num_begun(self) -> int:
        """See `Trials.num_begun`."""
        return self.trials.num_begun()

    @property
    def are_exact(self) -> bool:
        """Whether every candidate is trained in full anyway."""
        return isinstance(self.estimator, Full)

    @property
    def outcomes(self) -> list[Trial]:
        """What is known of each candidate: trained in full where it was, else estimated."""
        return [self._known_in_full(index) or self.found[index] for index in sorted(self.found)]

    @property
    def are_complete(self) -> bool:
        """Whether nothing that was begun ran out of time."""
        return all(trial.status != "stopped" for trial in (*self.found.values(), *self.outcomes))

    def train(self, index: int, proposal: Proposal, deadline: float = float("inf")) -> Trial:
        """Returns what the estimator says of a candidate; see `Trials.train`.

        Raises:
            ValueError: If the oracle proposes another candidate than before the search was interrupted.
        """
        self.proposals[index] = proposal
        self.found[index] = self._known(index, proposal) or self._estimated(index, proposal, deadline)
        self._clean()
        return self.found[index]

    def adopt(self) -> None:
        """Takes in what was trained elsewhere, in full."""
        self.found |= self.trials.outcomes

    def train_finalists(self, deadline: float = float("inf")) -> None:
        """Trains the best candidates in full, further ones for those that fail.

        One of which the estimate was not ready in time comes last: without any other it is the result. Those that were
        trained in full anyway cost nothing.
        """
        stopped = [index for index, trial in self.found.items() if trial.status == "stopped" and not self.are_exact]
        complete = 0
        for index in [*self._ranked(), *stopped]:
            if complete == FINALISTS:
                break
            trial = self.train_in_full(index, deadline)
            if trial.status == "stopped":
                break
            complete += trial.status == "done"

    def train_in_full(self, index: int, deadline: float = float("inf")) -> Trial:
        """Trains a candidate that was estimated to its end, or returns what is known of it."""
        known = self._known_in_full(index)
        if known is not None and known.status != "stopped":
            return known
        return self.trials.train(index, self.proposals[index], deadline)

    def directory(self, index: int) -> Run:
        """Returns the sub-directory of a candidate's full training."""
        return self.trials.directory(index)

    def finish(self) -> None:
        """Removes what only a search that goes on would need."""
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
        """Returns the candidates that may win: the highest objective, then the fewest connections."""
        able = {index: trial for index, trial in self.found.items() if _may_win(trial)}
        return sorted(able, key=lambda i: (-(able[i].objective or 0.0), able[i].kept_params, i))

    def _clean(self) -> None:
        """Removes checkpoints of trials that were cut short, but for those that may soon go on."""
        for index in self._cut_and_behind():
            self.directory(index).remove(LAST)
            self.directory(index).remove(BEST)

    def _cut_and_behind(self) -> Iterator[int]:
        leading = self._ranked()[:FINALISTS]
        cut = (index for index, trial in self.found.items() if trial.status == "cut" and index not in leading)
        return (index for index in cut if not self.directory(index).has(OUTCOME))


def _may_win(trial: Trial) -> bool:
    return trial.objective is not None and trial.same_as is None and trial.status != "stopped"
