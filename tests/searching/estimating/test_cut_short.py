"""Tests of the estimators that cut trials short: when, and what becomes of them."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from kgrow.lifecycle import LAST, PRESETS
from kgrow.run import Run
from kgrow.searching import Candidate
from kgrow.searching.estimating import Evidence, Extrapolation
from kgrow.searching.estimating.estimates import FINALISTS, Estimates
from kgrow.searching.estimating.evidence import smoothed
from kgrow.searching.estimating.extrapolation import smooth_from
from kgrow.searching.footprint import costs
from kgrow.searching.objective import Accuracy, AccuracyConstraint
from kgrow.searching.proposals import Proposal
from kgrow.searching.trials import OUTCOME, Trials
from kgrow.training import Observer

pytestmark = pytest.mark.usefixtures("eagerly")

CURVES, NOISE = "kgrow.searching.estimating.extrapolation.extrapolate", "kgrow.lifecycle.statistics"


@pytest.fixture
def start(tmp_path, tiny_task, tiny_settings, tiny_architecture):
    def start(run, estimator, objective=None):
        preset = dataclasses.replace(
            tiny_settings.preset, epochs=4, batch_size=24, grow_epochs=(0,), prune_epochs=(0, 0)
        )
        settings = dataclasses.replace(tiny_settings, preset=preset)
        trials = Trials(tiny_task, settings, objective or Accuracy(), tiny_architecture.macs(), run, Observer())
        return Estimates(estimator, trials, SimpleNamespace(variants={}), Observer())

    with Run.open(tmp_path / "run", {}) as run:
        yield lambda estimator, objective=None: start(run, estimator, objective)


@pytest.fixture
def propose(tiny_architecture):
    def propose(*ratios):
        footprint = costs(tiny_architecture).footprint(ratios)
        return Proposal(Candidate(tiny_architecture, ratios), {"keep": str(ratios)}, footprint)

    return propose


def test_curve_that_promises_nothing_ends_its_trial_and_the_estimate_is_what_it_promised(start, propose, monkeypatch):
    estimates, asked = start(Extrapolation()), []

    def promise(curve, horizon, seed):
        asked.append((len(curve), horizon))
        return np.array([0.01, 0.03])

    monkeypatch.setattr(CURVES, promise)
    first = estimates.train(0, propose(0.5, 0.5))
    assert (first.status, first.estimated, asked) == ("done", False, [])  # there was nothing to beat
    cut = estimates.train(1, propose(0.4, 0.5))
    assert (cut.status, cut.estimated, cut.epochs, cut.val_accuracy) == ("cut", True, 1, 0.02)
    assert asked == [(1, 4)]
    assert not estimates.directory(1).has(OUTCOME)
    estimates.train_finalists()
    assert [(trial.status, trial.estimated) for trial in estimates.outcomes] == [("done", False)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("promise", [None, np.array([0.0] * 18 + [1.0, 1.0])], ids=["nothing fits", "one in ten"])
def test_curve_with_hope_goes_on_to_its_end(start, propose, monkeypatch, promise):
    estimates = start(Extrapolation())
    monkeypatch.setattr(CURVES, lambda *_: promise)
    for index, ratio in enumerate((0.5, 0.4)):
        trial = estimates.train(index, propose(ratio, 0.5))
        assert (trial.status, trial.estimated, trial.epochs) == ("done", False, 4)


def test_hope_is_of_a_higher_objective_not_of_a_higher_accuracy(start, propose, monkeypatch):
    estimates = start(Extrapolation(), AccuracyConstraint(0.0))
    monkeypatch.setattr(CURVES, lambda *_: np.ones(4))  # the most accurate of all, at the same cost as the first
    estimates.train(0, propose(0.5, 0.5))
    assert estimates.train(1, propose(0.4, 0.5)).status == "cut"


def test_checkpoints_of_cut_trials_stay_only_for_those_that_may_go_on(start, propose, monkeypatch):
    estimates = start(Extrapolation())
    monkeypatch.setattr(CURVES, lambda curve, horizon, seed: np.full(3, 0.001 * (10 - seed[1])))
    for index in range(FINALISTS + 2):
        estimates.train(index, propose(0.5 - 0.05 * index, 0.5))
    held = [estimates.directory(index).has(LAST) for index in range(FINALISTS + 2)]
    assert held == [False, *[True] * (FINALISTS - 1), False, False]


def test_noise_for_some_epochs_in_a_row_ends_a_trial_and_is_logged(start, propose, monkeypatch):
    values = iter([-1.0, 20.0, 1.0, -1.0])
    monkeypatch.setattr(f"{NOISE}.noise_statistic", lambda *_: next(values))
    estimates = start(Evidence(patience=2))
    cut = estimates.train(0, propose(0.5, 0.5))
    events = estimates.directory(0).events()
    assert (cut.status, cut.estimated, cut.epochs) == ("cut", True, 3)
    assert [event["statistic"] for event in events if event["event"] == "evidence"] == [-1.0, 20.0, 1.0]
    best = [event["val_accuracy"][-1] for event in events if event.get("is_best")]
    assert cut.val_accuracy == best[-1]


def test_signal_lets_a_trial_go_on(start, propose):
    estimates = start(Evidence(num_examples=24))
    trial = estimates.train(0, propose(0.5, 0.5))
    statistics = [e["statistic"] for e in estimates.directory(0).events() if e["event"] == "evidence"]
    assert (trial.status, len(statistics)) == ("done", 3)
    assert all(value < 1 for value in statistics)


def test_average_begins_at_the_first_value():
    assert smoothed([]) == []
    assert smoothed([2.0, 2.0, 12.0]) == pytest.approx([2.0, 2.0, 3.0])


def test_curves_begin_with_the_last_event_or_the_last_step_of_the_rate():
    assert smooth_from(PRESETS["default"], 21) == 21
    assert smooth_from(PRESETS["grow_oneshot"], 85) == 179
    late = dataclasses.replace(PRESETS["base"], milestones=(101,), gammas=(0.1,))
    assert smooth_from(late, 0) is None


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (Extrapolation, {"probability": 1.5}, "probability"),
        (Evidence, {"patience": 0}, "patience"),
        (Evidence, {"num_examples": 4}, "num_examples"),
    ],
)
def test_option_out_of_range_is_refused(kind, options, name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        kind(**options)
