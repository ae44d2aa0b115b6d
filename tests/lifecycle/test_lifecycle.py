"""Tests of whole lives: what is logged and kept, and that an interrupted one ends as if it had not been."""

import dataclasses
import json
import math

import numpy as np
import pytest

from kgrow.graph import Architecture, Block
from kgrow.lifecycle import BEST, LAST, Lifecycle, Snapshot
from kgrow.run import Run
from kgrow.structure import AppendBlock
from kgrow.training import Observer, OutOfTimeError, TrainingDivergedError
from kgrow.training.validation import accuracy_per_head, loss_per_head

RATIOS = (0.5, 0.3)


class InterruptError(Exception):
    """What a test throws into a life."""


class Interrupter(Observer):
    """Interrupts at the first moment that a test chooses; remembers all it is told."""

    def __init__(self, moment=lambda kind, told: False):
        self.moment, self.told = moment, []

    def _hear(self, kind, told):
        self.told.append((kind, told))
        if self.moment(kind, told):
            raise InterruptError

    def event(self, trial, event):
        self._hear("event", dict(event))

    def progress(self, trial, epoch, done, total):
        self._hear("progress", (epoch, done, total))


@pytest.fixture
def live(tmp_path, tiny_task, tiny_architecture, tiny_settings):
    """Returns what lives, or goes on living, in the test's directory."""

    def live(observer=None, start=None, **options):
        settings = dataclasses.replace(tiny_settings, **options.pop("settings", {}))
        with Run.open(tmp_path / "0000", {}) as run:
            lifecycle = Lifecycle(tiny_task, tiny_architecture, RATIOS, settings, run, observer or Observer())
            lifecycle.train(start, **options)

    return live


@pytest.fixture
def directory(tmp_path):
    """Returns the run of `live`; a directory is held by one process at a time."""
    return lambda: Run.open(tmp_path / "0000", {})


def events_of(run, kind):
    return [event for event in run.events() if event["event"] == kind]


# What is logged


def test_log_tells_every_event_in_its_order(unbroken):
    told = [(event["event"], event["epoch"]) for event in unbroken.run.events()]
    assert told == [
        ("grew", 0),
        ("epoch", 0),
        ("pruned", 1),
        ("epoch", 1),
        ("grew", 2),
        ("epoch", 2),
        ("pruned", 3),
        ("epoch", 3),
        ("epoch", 4),
        ("epoch", 5),
    ]


def test_architecture_is_what_the_changes_of_the_log_make(unbroken, tiny_architecture):
    stored = Architecture.from_json(unbroken.run.read_json("architecture.json"))
    grown = dataclasses.replace(tiny_architecture, blocks=())
    for event in events_of(unbroken.run, "grew"):
        grown, _ = AppendBlock(Block.from_json(event["change"]["block"])).apply(grown)
    assert grown == stored == tiny_architecture


def test_changes_tell_what_was_wanted_and_the_exact_counts(unbroken, tiny_architecture):
    sizes = [tiny_architecture.kernel_params(index) for index in range(2)]
    kept = [int(ratio * size + 1e-9) for ratio, size in zip(RATIOS, sizes, strict=True)]
    changes = [event for event in unbroken.run.events() if "change" in event]
    assert [event["kept_params"] for event in changes] == [sizes[:1], kept[:1], [kept[0], sizes[1]], kept]
    assert [event["prunable_params"] for event in changes] == [sizes[:1], sizes[:1], sizes, sizes]
    wanted = [event["change"]["keep_ratios"] for event in events_of(unbroken.run, "pruned")]
    assert wanted == [{"0": RATIOS[0]}, {"1": RATIOS[1]}]


def test_epochs_tell_losses_accuracy_per_head_and_what_is_kept(unbroken):
    epochs = events_of(unbroken.run, "epoch")
    assert [len(event["val_accuracy"]) for event in epochs] == [1, 1, 2, 2, 2, 2]
    assert [len(event["val_loss"]) for event in epochs] == [1, 1, 2, 2, 2, 2]
    assert all(0 < loss < 10 for event in epochs for loss in event["val_loss"])
    assert all(math.isfinite(event["loss"]) and event["seconds"] >= 0 for event in epochs)
    assert [event["kept_params"] for event in epochs] == [156, 78, 78 + 234, 78 + 70, 78 + 70, 78 + 70]


def test_steps_are_numbered_through_the_whole_life(unbroken):
    assert [unbroken.snapshots[epoch].step_number for epoch in range(1, 6)] == [3, 6, 9, 12, 15]


def test_tiny_task_is_learned(unbroken):
    assert events_of(unbroken.run, "epoch")[-1]["val_accuracy"][-1] > 0.6


def test_observer_is_told_every_event_and_step(live, directory):
    observer = Interrupter(lambda kind, told: kind == "progress" and told[0] == 1)
    with pytest.raises(InterruptError):
        live(observer)
    with directory() as run:
        assert json.loads(json.dumps([told for kind, told in observer.told if kind == "event"])) == run.events()
    assert [told for kind, told in observer.told if kind == "progress"] == [(0, 1, 3), (0, 2, 3), (0, 3, 3), (1, 1, 3)]


# Checkpoints


def test_best_checkpoint_ignores_epochs_before_the_last_structural_event(unbroken):
    epochs = events_of(unbroken.run, "epoch")
    assert not any(event["is_best"] for event in epochs[:3])
    assert epochs[3]["is_best"]
    best = Snapshot.load(unbroken.run, BEST)
    assert best.epoch == 1 + max(event["epoch"] for event in epochs if event["is_best"])


def test_later_epoch_is_best_within_one_standard_error_of_the_highest(unbroken, tiny_task):
    reached = []
    for event in events_of(unbroken.run, "epoch")[3:]:
        highest = max(reached, default=0.0)
        error = math.sqrt(highest * (1 - highest) / len(tiny_task.validation))
        accuracy = event["val_accuracy"][-1]
        assert event["is_best"] == (accuracy >= highest - error)
        reached.append(accuracy)


@pytest.mark.parametrize("name", [BEST, LAST])
def test_checkpoint_holds_exact_zeros_and_the_accuracy_that_was_logged(unbroken, tiny_task, name):
    snapshot = Snapshot.load(unbroken.run, name)
    network = snapshot.network()
    assert network.kept_params() == 78 + 70
    for kernel in network.kernels():
        assert not kernel.weight.numpy()[kernel.mask.numpy() == 0].any()
    logged = events_of(unbroken.run, "epoch")[snapshot.epoch - 1]["val_accuracy"]
    found = accuracy_per_head(network.logits(tiny_task.validation.images), tiny_task.validation.labels)
    assert found == logged


def test_snapshot_survives_a_trip_through_a_file(unbroken, tmp_path, same_arrays):
    snapshot = unbroken.snapshots[4]
    with Run.open(tmp_path / "run", {}) as run:
        snapshot.save(run, "prefixes/4.npz")
        again = Snapshot.load(run, "prefixes/4.npz")
    assert same_arrays(again.arrays, snapshot.arrays)
    for field in ("epoch", "architecture", "seed", "step_number"):
        assert getattr(again, field) == getattr(snapshot, field)
    assert list(again.events) == json.loads(json.dumps(snapshot.events))


def test_block_that_is_added_after_pruning_starts_with_all_its_connections(unbroken):
    before, after = unbroken.snapshots[2], unbroken.snapshots[3]
    assert not any(name.startswith("block_1/") for name in before.arrays)
    masks = {name: values for name, values in after.arrays.items() if name.endswith("/mask")}
    assert all(values.all() for name, values in masks.items() if name.startswith("block_1/"))
    assert sum(values.sum() for name, values in masks.items() if name.startswith("block_0/")) == 78
    assert all(np.array_equal(masks[n], before.arrays[n]) for n in masks if n.startswith("block_0/"))
    assert all(int(kernel.layer.pruning_step) == 0 for kernel in after.network().kernels())


# Going on


def test_interrupted_life_ends_bitwise_as_an_unbroken_one(live, directory, unbroken, outcome_of, same_arrays):
    moments = [
        lambda kind, told: (kind, told) == ("progress", (0, 2, 3)),  # before any checkpoint
        lambda kind, told: kind == "event" and (told["event"], told["epoch"]) == ("pruned", 1),
        lambda kind, told: kind == "event" and (told["event"], told["epoch"]) == ("grew", 2),
        lambda kind, told: (kind, told) == ("progress", (3, 1, 3)),
        lambda kind, told: kind == "event" and (told["event"], told["epoch"]) == ("epoch", 4),  # best not yet written
    ]
    for moment in moments:
        with pytest.raises(InterruptError):
            live(Interrupter(moment))
    with pytest.raises(OutOfTimeError):
        live(deadline=0.0)
    live()
    with directory() as run:
        *told, arrays = outcome_of(run)
        *expected, expected_arrays = outcome_of(unbroken.run)
        assert told == expected
        assert same_arrays(arrays, expected_arrays)
        assert run.read_json("architecture.json") == unbroken.run.read_json("architecture.json")


class UntilTold(float):
    """A time that is over as soon as an observer has been told of a moment."""

    def __new__(cls, observer, moment):
        deadline = super().__new__(cls, 0.0)
        deadline.is_over = lambda: ("progress", moment) in observer.told
        return deadline

    def __lt__(self, now):
        return self.is_over()


def test_clock_is_looked_at_between_steps_and_what_was_trained_of_the_epoch_is_trained_again(
    live, directory, unbroken, outcome_of, same_arrays
):
    observer = Interrupter()
    with pytest.raises(OutOfTimeError):
        live(observer, deadline=UntilTold(observer, (3, 1, 3)))
    assert observer.told[-1] == ("progress", (3, 1, 3))
    live()
    with directory() as run:
        *told, arrays = outcome_of(run)
        *expected, expected_arrays = outcome_of(unbroken.run)
        assert told == expected
        assert same_arrays(arrays, expected_arrays)


def test_one_epoch_is_trained_whatever_the_time_is_where_a_checkpoint_is_needed(live, directory):
    for _ in range(2):  # once it is there no further one is
        with pytest.raises(OutOfTimeError):
            live(deadline=0.0, needs_checkpoint=True)
        with directory() as run:
            assert run.has(LAST)
            assert [event["epoch"] for event in events_of(run, "epoch")] == [0]


def test_fork_from_a_snapshot_ends_bitwise_as_an_unbroken_life(live, directory, unbroken, outcome_of, same_arrays):
    live(start=unbroken.snapshots[4])
    with directory() as run:
        *told, arrays = outcome_of(run)
        *expected, expected_arrays = outcome_of(unbroken.run)
        assert json.loads(json.dumps(told)) == expected
        assert same_arrays(arrays, expected_arrays)
        assert run.read_json("architecture.json") == unbroken.run.read_json("architecture.json")


def test_finished_life_is_not_lived_again(unbroken, tiny_task, tiny_architecture, tiny_settings):
    observer = Interrupter(lambda kind, told: kind == "progress")
    before = unbroken.run.events()
    Lifecycle(tiny_task, tiny_architecture, RATIOS, tiny_settings, unbroken.run, observer).train()
    assert unbroken.run.events() == before


def test_life_that_was_interrupted_before_its_first_checkpoint_can_go_on_in_the_same_object(
    tmp_path, tiny_task, tiny_architecture, tiny_settings
):
    observer = Interrupter(lambda kind, told: (kind, told) == ("progress", (0, 1, 3)))
    with Run.open(tmp_path / "0000", {}) as run:
        lifecycle = Lifecycle(tiny_task, tiny_architecture, RATIOS, tiny_settings, run, observer)
        with pytest.raises(InterruptError):
            lifecycle.train()
        with pytest.raises(OutOfTimeError):
            lifecycle.train(deadline=0.0)
        assert json.loads(json.dumps(lifecycle.events)) == run.events()


# Going wrong


def test_rate_that_is_too_high_is_said_to_be(live, directory, tiny_settings):
    preset = dataclasses.replace(tiny_settings.preset, learning_rate=1e20)
    with pytest.raises(TrainingDivergedError, match="lower `learning_rate` usually helps"):
        live(settings={"preset": preset})
    with directory() as run:
        assert not run.has(BEST)


def test_divergence_in_the_last_step_of_an_epoch_is_noticed_before_it_is_scored(live, tiny_settings):
    preset = dataclasses.replace(tiny_settings.preset, learning_rate=1e20, batch_size=48)
    with pytest.raises(TrainingDivergedError):
        live(settings={"preset": preset})


def test_batch_that_is_larger_than_the_training_split_is_refused(live, tiny_settings):
    preset = dataclasses.replace(tiny_settings.preset, batch_size=49)
    with pytest.raises(ValueError, match="`batch_size` must be at most the 48 training images, but got 49"):
        live(settings={"preset": preset})


# Ended by a rule


def test_rule_is_asked_after_every_epoch_and_ends_the_life(live, directory, unbroken):
    asked = []

    def rule(life):
        asked.append(life.events[-1]["epoch"])
        return asked[-1] == 3

    live(stop=rule)
    assert asked == [0, 1, 2, 3]
    with directory() as run:
        assert Snapshot.load(run, LAST).epoch == 4
    live()
    with directory() as run:
        assert [e["epoch"] for e in events_of(run, "epoch")] == [0, 1, 2, 3, 4, 5]
        assert events_of(run, "epoch")[-1]["val_accuracy"] == events_of(unbroken.run, "epoch")[-1]["val_accuracy"]


def test_what_a_rule_logs_stays_if_the_life_goes_on_and_is_logged_once(live, directory):
    def rule(life):
        life.log({"event": "asked", "epoch": life.events[-1]["epoch"]})
        return False

    with pytest.raises(InterruptError):
        live(Interrupter(lambda kind, told: kind == "progress" and told[0] == 3), stop=rule)
    live(stop=rule)
    with directory() as run:
        assert [event["epoch"] for event in events_of(run, "asked")] == [0, 1, 2, 3, 4]


def test_loss_per_head_is_the_mean_cross_entropy_also_of_large_logits():
    logits = np.array([[[0.0, 0.0], [0.0, math.log(3)]], [[1000.0, 0.0], [0.0, 1000.0]]])
    labels = np.array([0, 0], np.int32)
    assert loss_per_head(logits, labels) == pytest.approx([(math.log(2) + math.log(4)) / 2, 500.0])


def test_epoch_of_a_part_of_the_images_draws_others_each_time(tiny_task, tiny_architecture, tiny_settings, tmp_path):
    preset = dataclasses.replace(tiny_settings.preset, epoch_share=0.67)
    drawn, steps = [], []

    class Counting(Observer):
        def progress(self, trial, epoch, done, total):
            steps.append((epoch, done, total))

    with Run.open(tmp_path / "run", {}) as run:
        settings = dataclasses.replace(tiny_settings, preset=preset)
        life = Lifecycle(tiny_task, tiny_architecture, (1.0, 1.0), settings, run, Counting())
        life.train(epochs=2)
        assert life.trainer.step.number == 4  # of three batches an epoch
        for epoch in range(2):
            batches = tiny_task.train.batches(preset.batch_size, shuffle_seed=(0, epoch), drop_remainder=True)
            drawn.append(np.concatenate([images for images, _ in list(batches)[:2]]))
    assert steps == [(0, 1, 2), (0, 2, 2), (1, 1, 2), (1, 2, 2)]
    assert not np.array_equal(np.sort(drawn[0].sum((1, 2, 3))), np.sort(drawn[1].sum((1, 2, 3))))


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, float("nan")])
def test_epoch_is_of_a_part_of_the_images(tiny_settings, share):
    with pytest.raises(ValueError, match=r"`epoch_share` must be in \(0, 1\]"):
        dataclasses.replace(tiny_settings.preset, epoch_share=share)
