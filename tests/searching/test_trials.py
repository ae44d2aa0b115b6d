"""Tests of trials that share their prefixes: forked and interrupted, they end as if each had been trained alone."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from kgrow.architecture import Scaling
from kgrow.lifecycle import BEST, LAST, Lifecycle, Observer, Preset, Settings
from kgrow.pruning import Iterative, Magnitude, NoPruning, OneShot, kept_params
from kgrow.run import Run
from kgrow.searching import Candidate
from kgrow.searching.trials import OUTCOME, Trials, divergence, pruning_history
from kgrow.task import Augmentation

# The second leaves the first before epoch 3 and is the life of `unbroken`, the third leaves both before epoch 1.
RATIOS = ((0.5, 0.6), (0.5, 0.3), (0.25, 0.3))


class InterruptError(Exception):
    """What a test throws into a search."""


class Recorder(Observer):
    """Remembers what was trained, takes a copy of each trial before it is cleaned, interrupts once at each moment."""

    def __init__(self, outcome_of=None, moments=()):
        self.outcome_of, self.moments = outcome_of, set(moments)
        self.planned, self.trained, self.outcomes, self.trials = [], [], {}, None

    def search_started(self, epochs):
        self.planned.append(list(epochs))

    def progress(self, trial, epoch, done, total):
        self.trained.append((trial, epoch, done))
        if (trial, epoch, done) in self.moments:
            self.moments.remove((trial, epoch, done))
            raise InterruptError

    def trial_finished(self, trial, outcome):
        if self.outcome_of:
            self.outcomes[trial] = self.outcome_of(self.trials.directory(int(trial)))


def candidates_of(architecture, all_ratios=RATIOS):
    return [Candidate(architecture, ratios) for ratios in all_ratios]


@pytest.fixture(scope="module")
def searched(tmp_path_factory, tiny_task, tiny_architecture, tiny_settings, outcome_of):
    """A search that was interrupted in the first trial, after this had left prefixes for the others."""
    observer = Recorder(outcome_of, [("0000", 4, 2)])
    with Run.open(tmp_path_factory.mktemp("trials") / "search", {}) as run:
        trials = Trials(tiny_task, candidates_of(tiny_architecture), tiny_settings, run, observer)
        observer.trials = trials
        with pytest.raises(InterruptError):
            trials.train()
        yield SimpleNamespace(run=run, found=trials.train(), trials=trials, observer=observer)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tiny_task, tiny_architecture, tiny_settings, unbroken, outcome_of):
    """The second and the third candidate, each trained by itself."""
    with Run.open(tmp_path_factory.mktemp("alone") / "0002", {}) as run:
        Lifecycle(tiny_task, tiny_architecture, RATIOS[2], tiny_settings, run, Observer()).train()
        yield {"0001": outcome_of(unbroken.run), "0002": outcome_of(run)}


# Sharing


@pytest.mark.parametrize("trial", ["0001", "0002"])
def test_forked_trial_ends_bitwise_as_one_trained_alone(searched, alone, same_arrays, trial):
    events, logs, metadata, arrays = searched.observer.outcomes[trial]
    expected_events, expected_logs, expected_metadata, expected_arrays = alone[trial]
    assert events == expected_events
    assert logs == expected_logs
    assert metadata == expected_metadata
    assert {name.split(":")[0] for name in arrays} == {BEST, LAST}
    assert same_arrays(arrays, expected_arrays)


def test_shared_epochs_are_not_trained_again(searched):
    trained = {trial: set() for trial in ("0000", "0001", "0002")}
    for trial, epoch, _ in searched.observer.trained:
        trained[trial].add(epoch)
    assert trained == {"0000": {0, 1, 2, 3, 4, 5}, "0001": {3, 4, 5}, "0002": {1, 2, 3, 4, 5}}


def test_own_epochs_are_counted_whatever_interrupted_the_trial(searched):
    assert [trial.epochs_trained for trial in searched.found] == [6, 3, 5]


def test_display_is_told_the_epochs_that_each_waiting_trial_trains_itself(searched):
    assert searched.observer.planned == [[6, 3, 5], [6, 3, 5]]


def test_prefixes_and_all_but_the_best_checkpoint_are_gone_at_the_end(searched):
    best = searched.trials.best(searched.found)
    left = {path.relative_to(searched.run.path).as_posix() for path in searched.run.path.rglob("*.npz")}
    assert left == {f"trials/{best:04d}/best.npz"}


# What is found


def test_each_trial_tells_its_counts_and_the_accuracy_of_its_checkpoint(searched, tiny_architecture):
    for trial, ratios in zip(searched.found, RATIOS, strict=True):
        events, *_ = searched.observer.outcomes[trial.trial]
        best = [event for event in events if event.get("is_best")][-1]
        assert (trial.status, trial.error, trial.keep_ratios) == ("done", None, ratios)
        assert trial.prunable_params == tiny_architecture.kernel_params()
        assert trial.kept_params == kept_params(tiny_architecture, ratios) == best["kept_params"]
        assert trial.val_accuracy == best["val_accuracy"][-1]


def test_best_trial_has_the_highest_accuracy_then_the_fewest_connections(searched):
    trials = [
        dataclasses.replace(searched.found[0], val_accuracy=accuracy, kept_params=kept)
        for accuracy, kept in ((0.8, 90), (0.9, 70), (0.9, 60), (0.9, 60), (None, 10))
    ]
    assert searched.trials.best(trials) == 2
    assert searched.trials.best(trials[4:]) is None


def test_finished_search_is_not_trained_again_but_cleaned_of_what_a_kill_left(
    searched, tiny_task, tiny_architecture, tiny_settings
):
    observer, before = Recorder(), set(searched.run.path.rglob("*.npz"))
    for name in ("trials/0001/last.npz", "prefixes/0003-0123456789abcdef.npz"):
        searched.run.save_arrays(name, {}, {})
    again = Trials(tiny_task, candidates_of(tiny_architecture), tiny_settings, searched.run, observer).train()
    assert again == searched.found
    assert set(searched.run.path.rglob("*.npz")) == before
    assert observer.trained == []
    assert observer.planned == [[]]


# Trials that go wrong or are stopped


@pytest.fixture
def short_settings():
    """Three epochs, pruned before the first two."""
    preset = Preset(epochs=3, batch_size=16, learning_rate=0.1, grow_epochs=(0,), prune_epochs=(0, 1))
    return Settings(preset, Magnitude(), augmentation=Augmentation(), seed=0)


def test_trial_that_diverges_is_recorded_and_the_others_go_on(tmp_path, tiny_task, tiny_architecture, short_settings):
    blinding = dataclasses.replace(tiny_architecture, scaling=Scaling((0.0,) * 3, (1e-38,) * 3))
    tried = [Candidate(blinding, (0.5, 0.5)), Candidate(tiny_architecture, (0.5, 0.5))]
    with Run.open(tmp_path / "search", {}) as run:
        trials = Trials(tiny_task, tried, short_settings, run, Observer())
        found = trials.train()
        assert [trial.status for trial in found] == ["failed", "done"]
        assert (found[0].val_accuracy, found[0].epochs_trained) == (None, 0)
        assert "A lower `learning_rate`" in found[0].error
        assert trials.best(found) == 1
        assert not trials.directory(0).has(BEST)
        assert trials.directory(0).read_json(OUTCOME)["status"] == "failed"
        assert Trials(tiny_task, tried, short_settings, run, Observer()).train() == found


class Deadline(float):
    """A time that is over as soon as so many epochs of a trial are done."""

    def __new__(cls, observer, trial, epochs):
        deadline = super().__new__(cls, 0.0)
        deadline.is_over = lambda: sum(t == trial and done == 3 for t, _, done in observer.trained) >= epochs
        return deadline

    def __lt__(self, now):
        return self.is_over()


def test_stopped_search_keeps_the_best_of_the_finished_trials_for_when_it_goes_on(
    tmp_path, tiny_task, tiny_architecture, short_settings
):
    tried = candidates_of(tiny_architecture, ((0.02, 0.02), (1.0, 1.0), (0.5, 0.5)))
    observer = Recorder()
    with Run.open(tmp_path / "search", {}) as run:
        trials = Trials(tiny_task, tried, short_settings, run, observer)
        found = trials.train(Deadline(observer, "0001", 2))
        assert [trial.status for trial in found] == ["done", "stopped", "waiting"]
        assert found[1].epochs_trained == 2
        assert found[1].val_accuracy > found[0].val_accuracy  # and may be lower in the end
        assert trials.best(found) == 1
        assert trials.directory(0).has(BEST)
        assert trials.directory(1).has(BEST)
        assert trials.directory(1).has(LAST)
        assert not trials.directory(1).has(OUTCOME)


# Where trials part

ONE_SHOT, ITERATIVE = OneShot((1, 3, 5)), Iterative((2, 4, 6, 8, 10), steps=3)


@pytest.mark.parametrize(
    ("schedule", "first", "second", "epoch"),
    [
        (ONE_SHOT, (0.5, 0.5, 0.5), (0.4, 0.5, 0.5), 1),
        (ONE_SHOT, (0.5, 0.5, 0.5), (0.5, 0.4, 0.5), 3),
        (ONE_SHOT, (0.5, 0.5, 0.5), (0.5, 0.5, 0.4), 5),
        (ONE_SHOT, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 9),
        (ITERATIVE, (0.5, 0.5, 0.5), (0.4, 0.5, 0.5), 2),
        (ITERATIVE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.4), 6),
        (NoPruning(), (0.5,), (0.4,), 9),
    ],
)
def test_paths_part_at_the_first_event_that_differs(schedule, first, second, epoch):
    assert divergence(schedule, first, second, 9) == divergence(schedule, second, first, 9) == epoch


def test_pruning_history_lists_the_events_before_an_epoch():
    ratios = (0.5, 0.4, 0.3)
    assert pruning_history(ONE_SHOT, ratios, 1) == []
    assert pruning_history(ONE_SHOT, ratios, 4) == [[1, [[0, 0.5]]], [3, [[1, 0.4]]]]
    history = pruning_history(ITERATIVE, ratios, 5)
    assert [[epoch, [block for block, _ in blocks]] for epoch, blocks in history] == [[2, [0]], [4, [0, 1]]]


@pytest.mark.parametrize("schedule", [ONE_SHOT, ITERATIVE])
def test_histories_are_equal_up_to_where_paths_part_and_not_beyond(schedule):
    generator = np.random.default_rng(0)
    for _ in range(20):
        first, second = generator.choice([0.2, 0.5], (2, 3)).tolist()
        epoch = divergence(schedule, first, second, 12)
        for other in range(13):
            equal = pruning_history(schedule, first, other) == pruning_history(schedule, second, other)
            assert equal == (other <= epoch)
