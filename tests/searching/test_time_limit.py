"""Tests of schedules that fit the time allowed."""

import dataclasses

import numpy as np
import pytest

from kgrow.graph.image_size import at_image_size
from kgrow.lifecycle import PRESETS, Settings
from kgrow.lifecycle.pace import Pace
from kgrow.pruning import Magnitude
from kgrow.registry import SPACES
from kgrow.run import Run
from kgrow.searching.course import cost, course
from kgrow.searching.limits import Limits
from kgrow.searching.proposals import Proposals
from kgrow.searching.time_limit import SAFE_SHARE, fitted, mean_pace, training_time
from kgrow.training import Observer

SETTINGS = Settings(PRESETS["default"], Magnitude())
INFINITY = float("inf")


class Listener(Observer):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


class Clock:
    def __init__(self, now):
        self.now = now

    def monotonic(self):
        return self.now


def not_measured():
    raise AssertionError("Nothing is timed without need.")


@pytest.fixture
def run(tmp_path):
    with Run.open(tmp_path / "run", {}) as run:
        yield run


@pytest.mark.parametrize(("allowed_s", "epochs"), [(1000.0, 30), (111.0, 9), (100.0, 8), (5.0, 1)], ids="{:g}".format)
def test_schedule_is_shortened_to_the_epochs_that_fit_and_keeps_its_shape(run, allowed_s, epochs):
    listener = Listener()
    found = fitted(SETTINGS, run, allowed_s, lambda: Pace(starting_s=4.0, epoch_s=10.0), listener)
    assert found.preset == SETTINGS.preset.stretched(epochs)
    assert [f"shortened to {epochs}, " in note for note in listener.notes] == [True] * (epochs < 30)


@pytest.mark.parametrize(("allowed_s", "share"), [(90.0, 0.90), (40.0, 0.31), (20.0, 0.07)])
def test_epochs_become_shorter_where_few_whole_ones_fit(run, allowed_s, share):
    pace, listener = Pace(starting_s=4.0, epoch_s=10.0, validation_s=1.0), Listener()
    preset = fitted(SETTINGS, run, allowed_s, lambda: pace, listener).preset
    assert preset == dataclasses.replace(SETTINGS.preset.stretched(8), epoch_share=preset.epoch_share)
    assert preset.epoch_share == pytest.approx(share, abs=0.02)
    assert pace.seconds_for(8, preset.epoch_share) == pytest.approx(SAFE_SHARE * allowed_s, abs=0.1)
    assert f"shortened to 8 of {100 * preset.epoch_share:.0f} % of the images each" in listener.notes[0]
    assert preset.num_steps(12_800) == int(preset.epoch_share * 100)


def test_time_that_is_too_short_is_refused_with_one_that_would_do(run):
    def fit(allowed_s, max_time):
        pace = Pace(starting_s=4.0, epoch_s=100.0, validation_s=5.0)
        return fitted(SETTINGS, run, allowed_s, lambda: pace, Observer(), max_time)

    with pytest.raises(ValueError, match=r"`max_time` must be at least about 78 s on this machine, but got 30 s"):
        fit(27.0, 30.0)
    assert fit(0.9 * 79.0, 79.0).preset.epochs == 8


def test_what_the_timing_itself_takes_is_not_left_for_training(run, monkeypatch):
    def measure():
        monkeypatch.setattr("kgrow.searching.time_limit.time", Clock(60.0))
        return Pace(starting_s=0.0, epoch_s=4.25)

    monkeypatch.setattr("kgrow.searching.time_limit.time", Clock(10.0))
    assert fitted(SETTINGS, run, 100.0, measure, Observer()).preset.epochs == 10


def test_schedule_is_decided_once(run):
    short = fitted(SETTINGS, run, 111.0, lambda: Pace(4.0, 10.0), Observer())
    for allowed_s in (20.0, 1000.0, INFINITY):
        assert fitted(SETTINGS, run, allowed_s, not_measured, Observer()) == short


def test_run_that_was_begun_without_a_limit_keeps_its_schedule(run):
    assert fitted(SETTINGS, run, INFINITY, not_measured, Observer()) == SETTINGS
    assert fitted(SETTINGS, run, 20.0, not_measured, Observer()) == SETTINGS


@pytest.mark.parametrize(("max_time", "training"), [(10.0, 9.0), (600.0, 580.0), (INFINITY, INFINITY)])
def test_a_part_of_the_time_is_for_the_export(max_time, training):
    assert training_time(max_time) == training


def test_pace_of_a_training_is_that_of_its_networks(tiny_task, monkeypatch):
    measured = []

    def pace_of(task, network, settings):
        measured.append(network)
        return Pace(starting_s=9.0, epoch_s=20.0, tracing_s=3.0, validation_s=2.0)

    monkeypatch.setattr("kgrow.searching.time_limit.pace_of", pace_of)
    proposals = Proposals(SPACES["compact"], tiny_task, limits=Limits())
    pace = mean_pace(tiny_task, proposals.full, proposals, SETTINGS)
    (whole,) = measured
    assert whole == at_image_size(proposals.full, (5, 5))
    shares = [cost(network, 128) / cost(whole, 128) for network in course(proposals.full, proposals, SETTINGS)]
    assert pace.epoch_s == pytest.approx(20.0 * np.mean(shares))
    assert pace.starting_s == 9.0 + 3.0 * 2  # channels leave, and images grow
