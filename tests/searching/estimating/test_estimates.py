"""Tests of who is trained in full, and of what a search with estimates leaves; with an estimator that only says."""

import dataclasses
import json

import pytest

import kgrow
from kgrow.run import Run
from kgrow.searching import Candidate
from kgrow.searching.estimating import ESTIMATORS, Estimate, Estimator, chosen_estimator, name_of, searching_share
from kgrow.searching.estimating.calibration import calibration_of
from kgrow.searching.estimating.estimates import FINALISTS, Estimates
from kgrow.searching.footprint import costs
from kgrow.searching.objective import Accuracy
from kgrow.searching.proposals import Proposal
from kgrow.searching.trials import OUTCOME, Trials
from kgrow.training import Observer


@dataclasses.dataclass(frozen=True)
class Guess(Estimator):
    """Says that a candidate is as good as its first keep ratio; stopped and failed where it is told so."""

    stopped: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()

    def estimate(self, index, proposal, context):
        if index in self.stopped:
            return Estimate(None, "stopped", 1, 0)
        if index in self.failed:
            return Estimate(None, "failed", 1, 0, error="it was told so")
        return Estimate(proposal.candidate.keep_ratios[0], "done", 1, 1)


class Known(Trials):
    """Knows at once how good a candidate is: the worse, the more it keeps."""

    broken, stopped = (), ()

    def _train(self, index, proposal, deadline, stop=None):
        status = "failed" if index in self.broken else "stopped" if index in self.stopped else "done"
        accuracy = 1.0 - proposal.candidate.keep_ratios[0] if status == "done" else None
        trial = self._trial(index, proposal, status, accuracy, self.settings.preset.epochs)
        if status != "stopped":
            self.directory(index).write_json(OUTCOME, dataclasses.asdict(trial))
        return trial


@pytest.fixture
def search(tmp_path, tiny_task, tiny_settings, tiny_architecture):
    """Returns estimates of six candidates of rising keep ratios."""

    def search(estimator=None, **wrong):
        with Run.open(tmp_path / "run", {}) as run:
            trials = Known(tiny_task, tiny_settings, Accuracy(), tiny_architecture.macs(), run, Observer())
            vars(trials).update(wrong)
            estimates = Estimates(estimator or Guess(), trials, None, Observer())
            for index in range(6):
                ratios = (0.2 + 0.1 * index, 0.5)
                footprint = costs(tiny_architecture).footprint(ratios)
                proposal = Proposal(Candidate(tiny_architecture, ratios), {"keep": index}, footprint)
                if estimates.train(index, proposal).status == "stopped":
                    break
            estimates.train_finalists()
        return estimates

    return search


def in_full(estimates):
    return [index for index, trial in enumerate(estimates.outcomes) if not trial.estimated]


def test_only_the_best_estimates_are_trained_in_full_and_compete(search):
    estimates = search()
    assert in_full(estimates) == [3, 4, 5]
    assert len(in_full(estimates)) == FINALISTS
    assert estimates.trials.ranked() == [3, 4, 5]  # by what they are, not by what was estimated
    assert estimates.are_complete


def test_next_best_takes_the_place_of_one_that_fails(search):
    estimates = search(Guess(failed=(5,)), broken=(4,))
    assert estimates.trials.ranked() == [1, 2, 3]
    assert [trial.status for trial in estimates.outcomes] == ["done", "done", "done", "done", "failed", "failed"]
    assert estimates.outcomes[5].error == "it was told so"


def test_time_that_ends_among_the_finalists_leaves_a_search_that_can_go_on(search):
    estimates = search(stopped=(4,))
    assert estimates.trials.ranked() == [5]
    assert not estimates.are_complete


def test_candidate_without_an_estimate_is_trained_if_there_is_time_and_no_other(search):
    estimates = search(Guess(stopped=(0,)))
    assert estimates.trials.ranked() == [0]
    assert not estimates.are_complete  # the candidates after it are still to come


def test_calibration_trains_the_first_candidates_in_full_and_compares(search, monkeypatch):
    monkeypatch.setattr("kgrow.searching.estimating.calibration.NUM_CANDIDATES", 4)
    found = calibration_of(search(Guess(failed=(0,))), "guess")
    assert (found["estimator"], found["kendall_tau"], found["num_candidates"]) == ("guess", pytest.approx(-1.0), 4)
    assert [pair["trial"] for pair in found["candidates"]] == ["0001", "0002", "0003", "0004"]
    assert all(
        pair["val_accuracy"] == pytest.approx(1 - pair["estimated_val_accuracy"]) for pair in found["candidates"]
    )


# What a search accepts


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        ("halvin", r"Did you mean 'halving'\?"),
        (3, "must be one of 'full', 'halving' or a `Estimator`, but got 3"),
        ("supernet", r"experimental: .* pass `kgrow.searching.estimating.Supernet\(epochs=1\)`"),
        ("evidence", "must be one of 'full', 'halving', but got 'evidence', which is experimental"),
    ],
)
def test_what_is_no_estimator_is_refused(estimator, message):
    with pytest.raises(ValueError, match=message):
        kgrow.Tuning(estimator=estimator)


def test_calibration_without_an_estimate_is_refused():
    with pytest.raises(ValueError, match=r"`tuning.calibrate` must come with an approximate estimator"):
        chosen_estimator("full", True)


def test_estimators_are_called_by_their_names_or_by_how_they_are_made():
    assert name_of(chosen_estimator("halving", True)) == "halving"
    assert name_of(Guess()) == "Guess(stopped=(), failed=())"


# From end to end


@pytest.mark.slow
def test_search_with_estimates_exports_a_network_that_was_trained_in_full(tmp_path, tiny_task, capsys):
    result = kgrow.search(
        tiny_task,
        trials=4,
        tuning=kgrow.Tuning(oracle="random", estimator=Guess()),
        epochs=2,
        training={"batch_size": 24},
        directory=tmp_path,
        verbose=0,
    )
    document = json.loads((result.directory / "result.json").read_text())
    found = [(candidate["estimated"], candidate["epochs"]) for candidate in document["candidates"]]
    assert sorted(found) == [(False, 2)] * FINALISTS + [(True, 1)]
    best = next(c for c in document["candidates"] if c["trial"] == document["best"]["trial"])
    assert not best["estimated"]
    assert best["val_accuracy"] == document["best"]["heads"][-1]["val_accuracy"]
    assert not any(point["estimated"] for point in document["pareto"])
    assert (document["complete"], document["calibration"]) == (True, None)
    assert document["config"]["estimator"] == repr(Guess())
    result.summary()
    assert capsys.readouterr().out.count("approximate") == 1


@pytest.mark.parametrize(("estimator", "share"), [("full", 1.0), ("halving", 0.5)])
def test_what_does_not_train_to_the_end_leaves_time_for_that(estimator, share):
    assert searching_share(ESTIMATORS[estimator]) == share
