"""What every estimator owes."""

import dataclasses
import inspect
from types import SimpleNamespace

import pytest

import kgrow.searching.estimating as estimating
from kgrow.lifecycle import BEST, Observer
from kgrow.run import Run
from kgrow.searching import Candidate, SearchSpace
from kgrow.searching.estimating import ESTIMATORS, EXPERIMENTAL, Estimator
from kgrow.searching.estimating.estimates import ESTIMATE, FINALISTS, FOLDER, Estimates
from kgrow.searching.limits import Limits
from kgrow.searching.objective import Accuracy
from kgrow.searching.proposals import Proposal, Proposals
from kgrow.searching.trials import OUTCOME, Trials

pytestmark = pytest.mark.usefixtures("eagerly")

RATIOS = ((0.5, 0.6), (0.25, 0.3))
KNOWN = ESTIMATORS | EXPERIMENTAL


class InterruptError(Exception):
    """What a test throws into a search."""


class Recorder(Observer):
    """Remembers what was told, and interrupts once after so many steps."""

    def __init__(self, interrupt_at=None):
        self.interrupt_at, self.steps, self.finished = interrupt_at, [], []

    def progress(self, trial, epoch, done, total):
        self.steps.append((trial, epoch, done))
        if len(self.steps) == self.interrupt_at:
            raise InterruptError

    def trial_finished(self, trial, outcome):
        self.finished.append(outcome)


@pytest.fixture(scope="module")
def make(tiny_task, tiny_settings, tiny_architecture):
    """Returns what estimates in a run: four epochs of two steps, the last event before the third."""
    preset = dataclasses.replace(tiny_settings.preset, epochs=4, batch_size=24, grow_epochs=(1,), prune_epochs=(1, 2))
    settings = dataclasses.replace(tiny_settings, preset=preset)

    @dataclasses.dataclass(frozen=True)
    class Tiny(SearchSpace):
        def build(self, input_shape, num_classes, scaling=None, *, width=1.0, links=None):
            return dataclasses.replace(tiny_architecture, input_shape=input_shape, scaling=scaling)

    def make(run, estimator, observer=None):
        observer, proposals = observer or Observer(), Proposals(Tiny(), tiny_task, limits=Limits())
        trials = Trials(tiny_task, settings, Accuracy(), proposals.full.macs(), run, observer)
        return Estimates(estimator, trials, proposals, observer)

    return make


def tried(estimates, all_ratios=RATIOS):
    (known,) = (known for (depth, *_), (_, known) in estimates.bench.proposals.variants.items() if depth == 2)
    full = estimates.bench.proposals.full
    return [
        Proposal(Candidate(full, ratios), {"keep": str(ratios), "width": 1.0, "links": "none"}, known.footprint(ratios))
        for ratios in all_ratios
    ]


def search(estimates):
    for index, proposal in enumerate(tried(estimates)):
        estimates.train(index, proposal)
    return dict(estimates.found)


@pytest.fixture(scope="module", params=KNOWN)
def searched(request, tmp_path_factory, make):
    """A search from beginning to end, and the estimates before the best were trained in full."""
    observer = Recorder()
    with Run.open(tmp_path_factory.mktemp("estimates") / "search", {}) as run:
        estimates = make(run, KNOWN[request.param], observer)
        found = search(estimates)
        steps = len(observer.steps)
        estimates.train_finalists()
        yield SimpleNamespace(
            estimator=KNOWN[request.param], estimates=estimates, found=found, run=run, steps=steps, told=observer
        )


def test_every_estimator_of_the_package_has_a_name_in_one_of_the_tables():
    classes = [value for _, value in inspect.getmembers(estimating, inspect.isclass)]
    kinds = {kind for kind in classes if issubclass(kind, Estimator)}
    assert {type(estimator) for estimator in KNOWN.values()} == kinds - {Estimator}


def test_estimator_is_a_value(searched):
    assert type(searched.estimator)(**vars(searched.estimator)) == searched.estimator


def test_estimates_are_accuracies_and_say_what_they_are(searched):
    for trial in searched.found.values():
        assert 0 <= trial.val_accuracy <= 1
        assert trial.objective == trial.mean_val_accuracy
        exact = searched.estimates.trials.directory(int(trial.trial)).has(ESTIMATE) is False
        assert trial.estimated == (not exact)
        assert trial.epochs_trained <= trial.epochs


def test_each_candidate_is_said_to_be_finished_once_per_accuracy(searched):
    told = [(outcome["trial"], outcome["estimated"]) for outcome in searched.told.finished]
    assert len(told) == len(set(told))
    assert {trial for trial, _ in told} == {"0000", "0001"}


def test_the_best_are_trained_in_full_whatever_was_estimated(searched):
    assert len(RATIOS) <= FINALISTS
    assert sorted(searched.estimates.trials.ranked()) == [0, 1]
    for trial in searched.estimates.outcomes:
        assert (trial.status, trial.estimated, trial.epochs) == ("done", False, 4)
        assert searched.estimates.trials.directory(int(trial.trial)).has(BEST)


def test_search_that_is_interrupted_finds_the_same(searched, make, tmp_path):
    with Run.open(tmp_path / "search", {}) as run:
        with pytest.raises(InterruptError):
            search(make(run, searched.estimator, Recorder(interrupt_at=searched.steps - 3)))
        assert search(make(run, searched.estimator)) == searched.found


def test_search_that_is_started_again_after_its_end_is_told_the_same_and_trains_nothing(searched, make):
    observer = Recorder()
    again = make(searched.run, searched.estimator, observer)
    assert search(again) == searched.found
    again.train_finalists()
    assert again.outcomes == searched.estimates.outcomes
    assert observer.steps == []


def test_candidate_that_was_estimated_before_costs_nothing(searched, make):
    observer = Recorder()
    estimates = make(searched.run, searched.estimator, observer)
    search(estimates)
    twin = estimates.train(2, tried(estimates)[1])
    assert (twin.same_as, twin.epochs_trained, twin.val_accuracy) == ("0001", 0, searched.found[1].val_accuracy)
    assert observer.steps == []
    for name in (ESTIMATE, OUTCOME):
        estimates.directory(2).remove(name)


def test_other_candidate_under_a_known_number_is_refused(searched, make):
    estimates = make(searched.run, searched.estimator)
    with pytest.raises(ValueError, match="must propose what it proposed before the search was interrupted"):
        estimates.train(0, tried(estimates)[1])


def test_time_that_is_over_stops_the_search_and_keeps_what_is_known(searched, make, tmp_path):
    with Run.open(tmp_path / "search", {}) as run:
        estimates = make(run, searched.estimator)
        stopped = estimates.train(0, tried(estimates)[0], deadline=0.0)
        assert stopped.status == "stopped"
        assert stopped.val_accuracy is None or stopped.unfinished
        assert not estimates.are_complete
        assert not estimates.directory(0).has(ESTIMATE)


def test_finished_search_leaves_no_files_of_the_estimator(searched):
    """Last, as it ends what the others look at."""
    searched.estimates.finish()
    assert not list((searched.run.path / FOLDER).rglob("*"))
    assert not list(searched.run.path.glob("prefixes/*"))
