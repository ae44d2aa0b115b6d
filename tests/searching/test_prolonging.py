"""Tests of the training that goes on in the time that is left."""

import dataclasses
import time

import numpy as np
import pytest

from kgrow.lifecycle import BEST, Snapshot
from kgrow.run import Run
from kgrow.searching.choice import mean_figures
from kgrow.searching.estimating import Full
from kgrow.searching.estimating.estimates import Estimates
from kgrow.searching.footprint import Footprint
from kgrow.searching.objective import chosen_objective
from kgrow.searching.prolonging import FOLDER, MOST_SCHEDULES, PLAN, _epochs_within, _mean_cost, _settings, prolonged
from kgrow.searching.proposals import Proposal
from kgrow.searching.space import Candidate
from kgrow.searching.trial import Trial
from kgrow.searching.trials import OUTCOME, Trials
from kgrow.training import Observer, OutOfTimeError

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def trials(tiny_task, tiny_architecture, tiny_settings, tmp_path):
    """One finished trial in a run directory."""
    with Run.open(tmp_path / "run", {}) as run:
        found = Trials(
            tiny_task, tiny_settings, chosen_objective("accuracy"), tiny_architecture.macs(), run, Observer()
        )
        found.train(0, proposal(tiny_architecture, (0.5, 0.3)))
        yield found


def proposal(architecture, ratios, macs=None):
    footprint = Footprint(100, macs or architecture.macs(), 5_000, 1_000)
    values = {f"block_{block}/keep_ratio": ratio for block, ratio in enumerate(ratios)}
    return Proposal(Candidate(architecture, ratios), values, footprint)


def plan(trials, epochs):
    trained = trials.outcomes[0].epochs_trained
    trials.run.child(FOLDER).write_json(PLAN, {"trial": "0000", "epochs": epochs, "trained": trained})


def test_structure_and_masks_stay_and_the_better_network_is_kept(trials):
    before = Snapshot.load(trials.directory(0), BEST)
    plan(trials, 5)
    after = prolonged(trials, 0, time.monotonic() + 600)
    log = trials.run.child(FOLDER).child("0000-prolonged").events()
    assert [event["event"] for event in log] == ["epoch"] * 5
    assert all(event["is_settled"] for event in log)
    assert trials.run.child(FOLDER).child("0000-prolonged").has(BEST)
    means = mean_figures(log, 0)
    best = Snapshot.load(trials.directory(0), BEST)
    if means[0] < trials.outcomes[0].mean_val_accuracy:
        assert after == trials.outcomes[0]
        assert best.epoch == before.epoch
    else:
        assert (after.mean_val_accuracy, after.mean_val_loss) == means
        assert after.epochs_trained == trials.outcomes[0].epochs_trained + 5
        assert best.architecture == before.architecture
    for name, mask in before.arrays.items():
        if name.endswith("/mask"):
            assert np.array_equal(best.arrays[name], mask)
            assert np.all(best.arrays[name.replace("/mask", "/kernel")][mask == 0] == 0)


def test_one_that_was_killed_after_its_network_was_kept_counts_its_epochs_once(trials):
    trials.outcomes[0] = dataclasses.replace(trials.outcomes[0], mean_val_accuracy=0.0)
    plan(trials, 3)
    first = prolonged(trials, 0, time.monotonic() + 600)
    assert first.epochs_trained == trials.outcomes[0].epochs_trained + 3
    assert trials.directory(0).read_json(OUTCOME, Trial) == first
    trials.outcomes[0] = first  # as another process reads it
    assert prolonged(trials, 0, time.monotonic() + 600) == first


def test_worse_network_is_not_taken(trials):
    trials.outcomes[0] = dataclasses.replace(trials.outcomes[0], mean_val_accuracy=1.1)
    before = trials.directory(0).path.joinpath(BEST).read_bytes()
    plan(trials, 2)
    assert prolonged(trials, 0, time.monotonic() + 600) == trials.outcomes[0]
    assert trials.directory(0).path.joinpath(BEST).read_bytes() == before


class Late(Observer):
    """A clock that runs out in an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def progress(self, trial, epoch, done, total):
        if epoch == self.epoch:
            raise OutOfTimeError("now")


@pytest.mark.parametrize("epoch", [0, 2])
def test_what_was_trained_before_the_time_was_up_is_not_lost(trials, epoch):
    trials.outcomes[0] = dataclasses.replace(trials.outcomes[0], mean_val_accuracy=0.0)
    trials.observer = Late(epoch)
    plan(trials, 5)
    after = prolonged(trials, 0, time.monotonic() + 600)
    assert after.epochs_trained == trials.outcomes[0].epochs_trained + epoch
    assert (after.mean_val_accuracy > 0) == (epoch > 0)


def test_plan_of_another_trial_is_made_anew(trials):
    folder = trials.run.child(FOLDER)
    folder.write_json(PLAN, {"trial": "0007", "epochs": 3, "trained": 6})
    prolonged(trials, 0, time.monotonic() + 600)
    found = folder.read_json(PLAN, {"trial": str, "epochs": int, "trained": int})
    assert found["trial"] == "0000"
    assert found["epochs"] == MOST_SCHEDULES * trials.settings.preset.epochs


def test_plan_without_time_is_not_kept(trials):
    prolonged(trials, 0, time.monotonic() - 5)
    assert not trials.run.child(FOLDER).has(PLAN)


@pytest.mark.parametrize("has_room", [True, False])
def test_images_grow_once_more_if_there_is_time_for_a_whole_schedule(
    tiny_task, tiny_architecture, tiny_settings, tmp_path, has_room
):
    preset = dataclasses.replace(tiny_settings.preset, resolutions=((0, 0.75), (3, 1.0)))
    settings = dataclasses.replace(tiny_settings, preset=preset)
    with Run.open(tmp_path / "run", {}) as run:
        found = Trials(tiny_task, settings, chosen_objective("accuracy"), tiny_architecture.macs(), run, Observer())
        found.train(0, proposal(tiny_architecture, (0.5, 0.3)))
        found.outcomes[0] = dataclasses.replace(found.outcomes[0], mean_val_accuracy=0.0)
        plan(found, preset.epochs if has_room else preset.epochs - 1)
        prolonged(found, 0, time.monotonic() + 600)
        events = found.run.child(FOLDER).child("0000-prolonged").events()
        sizes = [event["change"]["size"] for event in events if event["event"] == "resized"]
        assert sizes == [[6, 6], [8, 8]] * has_room
        best = Snapshot.load(found.directory(0), BEST)
        assert best.architecture.input_shape == (8, 8, 3)
        assert found.outcomes[0].epochs == preset.epochs
        assert 0.5 < _mean_cost(preset, best.architecture) < 1 == _mean_cost(tiny_settings.preset, best.architecture)


def test_rate_begins_where_its_epochs_can_make_up_for_it(trials):
    rate = trials.settings.preset.learning_rate
    epochs = trials.settings.preset.epochs
    rates = [_settings(trials.settings, number).preset.learning_rate / rate for number in (1, epochs // 2, 3 * epochs)]
    assert rates == pytest.approx([0.3, 0.5, 1.0])


@pytest.mark.parametrize("left", [float("inf"), 0.0, -5.0])
def test_without_a_limit_or_without_time_nothing_is_trained(trials, left):
    assert prolonged(trials, 0, time.monotonic() + left) == trials.outcomes[0]
    assert not trials.run.child(FOLDER).child("0000-prolonged").has(BEST)


def test_network_without_its_final_structure_is_left_alone(trials):
    trials.outcomes[0] = dataclasses.replace(trials.outcomes[0], status="stopped")
    assert prolonged(trials, 0, time.monotonic() + 600).status == "stopped"
    assert not trials.run.child(FOLDER).has(PLAN)


# Which trials fit


def test_candidate_fits_if_its_own_epochs_do_at_the_pace_of_the_last(trials, tiny_architecture):
    epochs = [event for event in trials.directory(0).events() if event["event"] == "epoch"]
    shared = proposal(tiny_architecture, (0.5, 0.2))
    first = trials.prefixes.shared_epochs(shared.candidate)
    assert 0 < first < len(epochs)
    needed = sum(event["seconds"] for event in epochs[first:])
    assert trials.fits(1, shared, time.monotonic() + 2 * needed + 30)
    assert not trials.fits(1, shared, time.monotonic() + 2 * needed - 0.001)
    dear = proposal(tiny_architecture, (0.5, 0.2), macs=1_000 * tiny_architecture.macs())
    assert not trials.fits(1, dear, time.monotonic() + 2 * needed + 30)
    assert trials.fits(1, dear, float("inf"))
    assert trials.fits(0, shared, time.monotonic() - 1)  # has begun


def test_search_that_leaves_a_candidate_out_is_not_complete(trials, tiny_architecture):
    estimates = Estimates(Full(), trials, None, Observer())
    assert estimates.fits(1, proposal(tiny_architecture, (0.5, 0.2)), time.monotonic() + 600)
    assert estimates.are_complete
    assert not estimates.fits(1, proposal(tiny_architecture, (0.5, 0.2)), time.monotonic())
    assert not estimates.are_complete


def test_other_work_during_the_last_epochs_does_not_cost_the_time_that_is_left(trials, monkeypatch):
    def epochs_of(seconds):
        events = [{"event": "epoch", "seconds": each} for each in seconds]
        monkeypatch.setattr(type(trials.directory(0)), "events", lambda run: events)
        return _epochs_within(trials, 0, 200.0)

    usual = epochs_of([20.0] + 11 * [10.0])
    assert usual == 16  # 0.92 of 200 s, less the slowest epoch, by 10
    assert epochs_of([20.0] + 10 * [10.0] + [20.0]) == usual
    assert epochs_of([20.0] + 3 * [10.0] + 8 * [20.0]) == 8


def test_connections_stay_as_they_are_though_they_came_back_before(tiny_settings):
    assert _settings(dataclasses.replace(tiny_settings, regrowth="gradient"), 8).regrowth is None
