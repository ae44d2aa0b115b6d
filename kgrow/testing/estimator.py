"""The contract of every estimator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kgrow.graph import Architecture
from kgrow.lifecycle import BEST
from kgrow.run import Run
from kgrow.searching import Candidate, SearchSpace
from kgrow.searching.estimating import Estimator
from kgrow.searching.estimating.estimates import ESTIMATE, FINALISTS, FOLDER, Estimates
from kgrow.searching.limits import Limits
from kgrow.searching.objective import Accuracy
from kgrow.searching.proposals import Proposal, Proposals
from kgrow.searching.trial import Trial
from kgrow.searching.trials import OUTCOME, Trials
from kgrow.testing import samples
from kgrow.training import Observer

RATIOS = ((0.5, 0.6), (0.25, 0.3))


class InterruptError(Exception):
    """An exception with which a test interrupts a search."""


class Recorder(Observer):
    """Records notifications, and interrupts once after a given number of steps."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.interrupt_at = interrupt_at
        self.steps: list[tuple[str, int, int]] = []
        self.finished: list[dict[str, Any]] = []

    def progress(self, trial: str, epoch: int, done: int, total: int) -> None:
        """See `Observer.progress`."""
        self.steps.append((trial, epoch, done))
        if len(self.steps) == self.interrupt_at:
            raise InterruptError

    def trial_finished(self, trial: str, outcome: Any) -> None:
        """See `Observer.trial_finished`."""
        self.finished.append(outcome)


@dataclasses.dataclass(frozen=True)
class Tiny(SearchSpace):
    """A space of one architecture."""

    def build(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        scaling: Any = None,
        *,
        width: float = 1.0,
        **choices: Any,
    ) -> Architecture:
        """See `SearchSpace.build`."""
        return dataclasses.replace(samples.tiny_architecture(), input_shape=input_shape, scaling=scaling)


@dataclasses.dataclass
class Searched:
    """A search from beginning to end, and the estimates before the best were trained in full."""

    estimator: Any
    estimates: Estimates
    found: dict[int, Trial]
    run: Run
    steps: int
    told: Recorder


def make(run: Run, estimator: Estimator, observer: Observer | None = None) -> Estimates:
    """Returns the estimates of a run: four epochs of two steps, the last event before the third."""
    base = samples.tiny_settings()
    preset = dataclasses.replace(base.preset, epochs=4, batch_size=24, grow_epochs=(1,), prune_epochs=(1, 2))
    settings = dataclasses.replace(base, preset=preset)
    observer, task = observer or Observer(), samples.tiny_task()
    proposals = Proposals(Tiny(), task, limits=Limits())
    trials = Trials(task, settings, Accuracy(), proposals.full.macs(), run, observer)
    return Estimates(estimator, trials, proposals, observer)


def tried(estimates: Estimates, all_ratios: Sequence[tuple[float, ...]] = RATIOS) -> list[Proposal]:
    """Returns the candidates that the tests try."""
    (known,) = (known for (depth, _), (_, known) in estimates.context.proposals.variants.items() if depth == 2)
    full = estimates.context.proposals.full
    return [
        Proposal(Candidate(full, ratios), {"keep": str(ratios), "width": 1.0}, known.footprint(ratios))
        for ratios in all_ratios
    ]


def search(estimates: Estimates) -> dict[int, Trial]:
    """Returns the outcomes of the candidates."""
    for index, proposal in enumerate(tried(estimates)):
        estimates.train(index, proposal)
    return dict(estimates.found)


class EstimatorContract:
    """Tests of an estimator's contract; a subclass has the estimator as `estimator`."""

    estimator: ClassVar[Estimator]

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Estimator:
        """The estimator."""
        return cls.estimator

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _eagerly(cls) -> Iterator[None]:
        with samples.eagerly():
            yield

    @pytest.fixture(scope="class")
    @classmethod
    def searched(cls, subject: Estimator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
        """A search from beginning to end."""
        observer = Recorder()
        with Run.open(tmp_path_factory.mktemp("estimates") / "search", {}) as run:
            estimates = make(run, subject, observer)
            found = search(estimates)
            steps = len(observer.steps)
            estimates.train_finalists()
            yield Searched(subject, estimates, found, run, steps, observer)

    def test_estimator_is_a_value(self, searched: Searched) -> None:
        """Equal arguments make equal estimators."""
        assert type(searched.estimator)(**vars(searched.estimator)) == searched.estimator

    def test_estimates_are_accuracies_and_say_what_they_are(self, searched: Searched) -> None:
        """Approximate accuracies are marked."""
        for trial in searched.found.values():
            assert trial.val_accuracy is not None
            assert 0 <= trial.val_accuracy <= 1
            assert trial.objective == trial.mean_val_accuracy
            exact = searched.estimates.trials.directory(int(trial.trial)).has(ESTIMATE) is False
            assert trial.estimated == (not exact)
            assert trial.epochs_trained <= trial.epochs

    def test_each_candidate_is_said_to_be_finished_once_per_accuracy(self, searched: Searched) -> None:
        """The display gets each accuracy once."""
        told = [(outcome["trial"], outcome["estimated"]) for outcome in searched.told.finished]
        assert len(told) == len(set(told))
        assert {trial for trial, _ in told} == {"0000", "0001"}

    def test_the_best_are_trained_in_full_whatever_was_estimated(self, searched: Searched) -> None:
        """Only a candidate that was trained in full can win."""
        assert len(RATIOS) <= FINALISTS
        assert sorted(searched.estimates.trials.ranked()) == [0, 1]
        for trial in searched.estimates.outcomes:
            assert (trial.status, trial.estimated, trial.epochs) == ("done", False, 4)
            assert searched.estimates.trials.directory(int(trial.trial)).has(BEST)

    def test_search_that_is_interrupted_finds_the_same(self, searched: Searched, tmp_path: Path) -> None:
        """A search that was killed resumes."""
        with Run.open(tmp_path / "search", {}) as run:
            with pytest.raises(InterruptError):
                search(make(run, searched.estimator, Recorder(interrupt_at=searched.steps - 3)))
            assert search(make(run, searched.estimator)) == searched.found

    def test_search_that_is_started_again_after_its_end_is_told_the_same_and_trains_nothing(
        self, searched: Searched
    ) -> None:
        """Known results are not computed again."""
        observer = Recorder()
        again = make(searched.run, searched.estimator, observer)
        assert search(again) == searched.found
        again.train_finalists()
        assert again.outcomes == searched.estimates.outcomes
        assert observer.steps == []

    def test_candidate_that_was_estimated_before_costs_nothing(self, searched: Searched) -> None:
        """An oracle may propose a candidate twice."""
        observer = Recorder()
        estimates = make(searched.run, searched.estimator, observer)
        search(estimates)
        twin = estimates.train(2, tried(estimates)[1])
        assert (twin.same_as, twin.epochs_trained, twin.val_accuracy) == ("0001", 0, searched.found[1].val_accuracy)
        assert observer.steps == []
        for name in (ESTIMATE, OUTCOME):
            estimates.directory(2).remove(name)

    def test_other_candidate_under_a_known_number_is_refused(self, searched: Searched) -> None:
        """Files of other candidates are not used."""
        estimates = make(searched.run, searched.estimator)
        with pytest.raises(ValueError, match="must propose what it proposed before the search was interrupted"):
            estimates.train(0, tried(estimates)[1])

    def test_time_that_is_over_stops_the_search_and_keeps_what_is_known(
        self, searched: Searched, tmp_path: Path
    ) -> None:
        """The deadline is respected."""
        with Run.open(tmp_path / "search", {}) as run:
            estimates = make(run, searched.estimator)
            stopped = estimates.train(0, tried(estimates)[0], deadline=0.0)
            assert stopped.status == "stopped"
            assert stopped.val_accuracy is None or stopped.unfinished
            assert not estimates.are_complete
            assert not estimates.directory(0).has(ESTIMATE)

    def test_finished_search_leaves_no_files_of_the_estimator(self, searched: Searched) -> None:
        """Runs last, because it ends the search that the other tests use."""
        searched.estimates.finish()
        assert not list((searched.run.path / FOLDER).rglob("*"))
        assert not list(searched.run.path.glob("prefixes/*"))
