"""Tests of how trials are given and taken, and of the log that brings an oracle back to where it was."""

import dataclasses
import json

import pytest

from kgrow.lifecycle import Observer
from kgrow.run import Run
from kgrow.searching.ledger import Ledger
from kgrow.searching.limits import Limits
from kgrow.searching.objective import Accuracy
from kgrow.searching.oracles import ORACLES, make_oracle
from kgrow.searching.proposals import Proposals
from kgrow.searching.trials import OUTCOME, Trials
from kgrow.searching.tuner import Tuner, quiet_keras_tuner


@pytest.fixture
def opened(tmp_path, tiny_task, tiny_space, tiny_settings):
    """Returns a function that opens the ledger as a process does, and lets the former process go."""
    runs = []

    def open_again(oracle="random", trials=6, seed=0, limits=None):
        for run in runs:
            run.close()
        runs.append(Run.open(tmp_path / "search", {}))
        known = Trials(tiny_task, tiny_settings, Accuracy(), 1, runs[-1], Observer())
        proposals = Proposals(tiny_space, tiny_task, limits=limits or Limits())
        tuner = Tuner(make_oracle(oracle, trials, seed, 3), proposals, known, runs[-1], 3)
        return Ledger(tuner.oracle, proposals, known, runs[-1])

    with quiet_keras_tuner():
        yield open_again
    for run in runs:
        run.close()


def finish(ledger, trial):
    """Does what a worker and `collect` do: the outcome is in the run, as good as its first keep ratio."""
    proposal = ledger.proposals.sample(trial.hyperparameters)
    index = int(trial.trial_id)
    outcome = ledger.trials._trial(index, proposal, "done", proposal.candidate.keep_ratios[0], 6)
    ledger.trials.directory(index).write_json(OUTCOME, dataclasses.asdict(outcome))
    return ledger.end(trial.trial_id)


def state(ledger):
    """Returns everything that decides what is proposed next."""
    oracle = ledger.oracle
    return {
        "trials": {name: (t.status, t.score, dict(t.hyperparameters.values)) for name, t in oracle.trials.items()},
        "ongoing": [(worker, trial.trial_id) for worker, trial in oracle.ongoing_trials.items()],
        "waiting": list(oracle._retry_queue),
        "order": (oracle.start_order, oracle.end_order),
        "seed": oracle._seed_state,
        "tried": oracle._tried_so_far,
        "outcomes": ledger.trials.outcomes,
    }


def test_two_workers_have_two_trials_and_each_keeps_its_own(opened):
    ledger = opened()
    first, second = ledger.create("a"), ledger.create("b")
    assert (first.trial_id, second.trial_id) == ("0", "1")
    assert ledger.create("a").trial_id == "0"
    assert ledger.holds("a", "0")
    assert not ledger.holds("b", "0")
    assert not ledger.holds("c", "0")


def test_lost_trial_is_the_next_ones(opened):
    ledger = opened()
    lost = ledger.create("a")
    ledger.create("b")
    assert ledger.lose("a") == lost.trial_id
    assert ledger.lose("a") is None
    again = ledger.create("c")
    assert (again.trial_id, again.hyperparameters.values) == (lost.trial_id, lost.hyperparameters.values)
    assert not ledger.holds("a", lost.trial_id)


def test_nobody_may_go_before_all_trials_have_ended(opened):
    ledger = opened(trials=2)
    first, second = ledger.create("a"), ledger.create("b")
    finish(ledger, first)
    assert ledger.create("a").status == "IDLE"
    ledger.lose("b")
    assert not ledger.is_over
    taken = ledger.create("a")
    assert taken.trial_id == second.trial_id
    finish(ledger, taken)
    assert ledger.is_over
    assert ledger.create("a").status == "STOPPED"


def test_what_has_not_ended_in_time_is_in_the_result_as_stopped(opened):
    ledger = opened()
    finish(ledger, ledger.create("a"))
    ledger.create("a")
    ledger.create("b")
    ledger.lose("b")
    ledger.leave()
    assert [ledger.trials.outcomes[index].status for index in range(3)] == ["done", "stopped", "stopped"]


def test_ledger_that_is_opened_again_is_where_it_was(opened):
    ledger = opened()
    held = {worker: ledger.create(worker) for worker in "abc"}
    finish(ledger, held["c"])
    held["c"] = ledger.create("c")
    ledger.lose("a")
    finish(ledger, held["b"])
    held["b"] = ledger.create("b")
    before = state(ledger)
    assert state(opened()) == before


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("limits", [Limits(), Limits(params=100)], ids=["free", "limited"])
def test_search_that_is_broken_off_after_each_step_ends_as_an_unbroken_one(opened, tmp_path, oracle, limits):
    def end(ledger, again):
        for step in range(20):
            worker = "ab"[step % 2]
            trial = ledger.create(worker)
            if trial.status == "STOPPED":
                break
            if trial.status == "RUNNING" and step % 3:
                finish(ledger, trial)
            ledger = again(ledger)
        assert ledger.is_over
        return state(ledger)

    unbroken = end(opened(oracle, limits=limits), lambda ledger: ledger)
    (tmp_path / "search").rename(tmp_path / "unbroken")
    broken = end(opened(oracle, limits=limits), lambda ledger: opened(oracle, limits=limits))
    assert broken == unbroken


def test_oracle_that_proposes_something_else_is_refused(opened):
    ledger = opened(seed=0)
    for worker in "ab":
        ledger.create(worker)
    with pytest.raises(ValueError, match=r"must propose what it proposed before .* Give the oracle a seed"):
        opened(seed=5)


@pytest.mark.parametrize(
    "event", [{}, {"event": "lost", "worker": "x"}, {"event": "ended", "trial": "0009"}, {"event": "created"}]
)
def test_log_that_no_chief_wrote_is_named(opened, event):
    ledger = opened(seed=0)
    ledger.create("a")
    ledger.run.append(event)
    with pytest.raises(ValueError, match=r"The log of '.*' must hold what a chief wrote, but event 2 is"):
        opened(seed=0)


def test_search_that_is_over_is_over_when_it_is_opened_again(opened, monkeypatch):
    monkeypatch.setattr("kgrow.searching.proposals.RATIO_STEP", 0.15)  # three ratios for each of two blocks
    ledger = opened("grid", trials=20)
    while (trial := ledger.create("a")).status == "RUNNING":
        finish(ledger, trial)
    assert trial.status == "STOPPED"
    assert opened("grid", trials=20).is_over
    assert json.loads((ledger.run.path / "events.jsonl").read_text().splitlines()[-1]) == {"event": "stopped"}


@pytest.mark.parametrize("oracle", ["random", "bayesian", "grid"])
def test_search_that_is_given_more_trials_goes_on_as_if_all_had_been_asked_for_at_first(opened, tmp_path, oracle):
    def end(ledger):
        while (trial := ledger.create("a")).status == "RUNNING":
            finish(ledger, trial)
        assert (trial.status, ledger.is_over) == ("STOPPED", True)
        return state(ledger)["trials"]

    whole = end(opened(oracle, trials=12))
    (tmp_path / "search").rename(tmp_path / "whole")
    end(opened(oracle, trials=3))
    assert end(opened(oracle, trials=12)) == whole  # the names of trials are longer now


def test_worker_that_waited_for_the_last_trial_has_none_when_more_are_asked_for(opened):
    ledger = opened(trials=2)
    first, _ = ledger.create("a"), ledger.create("b")
    finish(ledger, first)
    assert ledger.create("a").status == "IDLE"
    more = opened(trials=3)
    assert more.holders() == ["b"]
    assert more.create("a").trial_id == "2"


def test_asking_in_vain_is_remembered_and_not_repeated(opened, monkeypatch):
    monkeypatch.setattr("kgrow.searching.proposals.RATIO_STEP", 0.15)  # three ratios for each of two blocks
    ledger, held = opened(trials=20), []
    while (trial := ledger.create(f"worker {len(held)}")).status == "RUNNING":
        held.append(trial)
    assert trial.status == "IDLE"
    assert len(held) <= 9
    before = state(ledger)
    assert ledger.create("late").status == "IDLE"
    assert state(ledger) == before == state(opened(trials=20))
    ledger = opened(trials=20)
    finish(ledger, held[0])
    ledger.create("late")
    before = state(ledger)
    assert state(opened(trials=20)) == before


def test_trials_that_ended_before_there_were_workers_are_taken_in(opened):
    alone = opened("bayesian")
    ended = [finish(alone, alone.create("a")) for _ in range(4)]
    alone.run.truncate(0)  # a search without workers logs nothing
    ledger = opened("bayesian")
    ledger.adopt()
    assert list(ledger.trials.outcomes.values()) == ended
    assert not ledger.unfinished
    assert ledger.create("a").trial_id == "4"
    again = opened("bayesian")
    again.adopt()
    assert again.holds("a", "4")


def test_no_more_trials_are_taken_in_than_the_oracle_may_begin(opened):
    alone = opened("grid", trials=3)
    ended = [finish(alone, alone.create("a")) for _ in range(3)]
    alone.run.truncate(0)
    ledger = opened("grid", trials=2)
    ledger.adopt()
    assert list(ledger.trials.outcomes.values()) == ended[:2]
    assert ledger.is_over
