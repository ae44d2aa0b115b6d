"""Tests of trainings that begin with small images."""

import dataclasses

import numpy as np
import pytest

from kgrow.graph.image_size import at_image_size
from kgrow.lifecycle import LAST, Lifecycle, Snapshot
from kgrow.lifecycle.preset import SMALLEST_RESIZED
from kgrow.registry import PRESETS, SPACES
from kgrow.run import Run
from kgrow.structure import Decisions, ProgressiveResolution, ResizeImages
from kgrow.task import Augmentation
from kgrow.training import Observer, OutOfTimeError

pytestmark = pytest.mark.usefixtures("eagerly")

STEPS = ((0, 0.75), (3, 1.0))


@pytest.fixture
def settings(tiny_settings):
    preset = dataclasses.replace(tiny_settings.preset, resolutions=STEPS)
    return dataclasses.replace(tiny_settings, preset=preset, augmentation=Augmentation(shift=2, cutout=4))


def life_of(task, architecture, settings, run):
    return Lifecycle(task, architecture, (0.5, 0.6), settings, run, Observer())


def test_network_grows_on_small_images_and_ends_with_its_own(tiny_task, tiny_architecture, settings, tmp_path):
    with Run.open(tmp_path / "run", {}) as run:
        life = life_of(tiny_task, tiny_architecture, settings, run)
        life.train(epochs=2)
        grown = life.network.architecture
        assert grown.blocks == at_image_size(tiny_architecture, (6, 6)).blocks[: len(grown.blocks)]
        assert (life.trainer.augmentation.shift, life.trainer.augmentation.cutout) == (2, 3)
        life = life_of(tiny_task, tiny_architecture, settings, run)
        life.train()
    assert life.network.architecture == tiny_architecture
    assert (life.trainer.augmentation.shift, life.trainer.augmentation.cutout) == (2, 4)
    sizes = [(event["epoch"], event["change"]["size"]) for event in life.events if event["event"] == "resized"]
    assert sizes == [(0, [6, 6]), (3, [8, 8])]
    epochs = [event for event in life.events if event["event"] == "epoch"]
    assert not any(event["is_settled"] for event in epochs[:3])
    assert epochs[-1]["is_settled"]
    assert life.settled_since >= 3


def test_momentum_stays_when_images_grow(tiny_task, tiny_architecture, settings, tmp_path):
    seen = []

    class Looking(Lifecycle):
        def _apply(self, epoch, change):
            self.trainer.mask_momentum()  # as after every change
            before = self.trainer.momentum(), self.network.state()
            super()._apply(epoch, change)
            if isinstance(change, ResizeImages) and epoch:
                seen.append((before, (self.trainer.momentum(), self.network.state()), self.trainer.step.number))

    with Run.open(tmp_path / "run", {}) as run:
        life = Looking(tiny_task, tiny_architecture, (0.5, 0.6), settings, run, Observer())
        life.train(epochs=4)
    ((before, after, steps),) = seen
    assert steps == 3 * life.num_steps
    for old, new in zip(before, after, strict=True):
        assert old.keys() == new.keys()
        assert all(np.array_equal(new[name], value) for name, value in old.items())
    assert any(value.any() for value in before[0].values())


def test_interrupted_training_goes_on_with_the_size_it_had(tiny_task, tiny_architecture, settings, tmp_path):
    def ended(name, stops):
        with Run.open(tmp_path / name, {}) as run:
            for epochs in stops:
                life = life_of(tiny_task, tiny_architecture, settings, run)
                life.train(epochs=epochs)
            return life.network.state(), [event["event"] for event in life.events]

    whole, parts = ended("whole", [None]), ended("parts", [2, 3, None])
    assert whole[1] == parts[1]
    assert all(np.array_equal(parts[0][name], value) for name, value in whole[0].items())


def test_run_without_steps_resizes_nothing(tiny_task, tiny_architecture, tiny_settings, tmp_path):
    with Run.open(tmp_path / "run", {}) as run:
        life = life_of(tiny_task, tiny_architecture, tiny_settings, run)
        life.train()
    assert "resized" not in {event["event"] for event in life.events}


def test_size_that_the_network_cannot_have_is_left_out():
    target = SPACES["seed_plain"].build((32, 32, 3), 10)
    policy = ProgressiveResolution(((0, 0.05), (4, 0.75), (8, 1.0)))
    assert [policy.size_at(epoch, target) for epoch in (0, 3, 4)] == [(32, 32), (32, 32), (24, 24)]
    state = Decisions((policy,), target, (1.0,) * 4, 9).state(0, dataclasses.replace(target, blocks=()), ())
    assert policy.propose(state) is None


@pytest.mark.parametrize(
    "steps",
    [
        ((0, 0.0), (1, 1.0)),
        ((0, 1.5), (1, 1.0)),
        ((3, 0.5), (1, 1.0)),
        ((-1, 0.5), (0, 1.0)),
        ((0, 0.5),),
        None,
        0.5,
        (0.5,),
        ((0, "a"), (1, 1.0)),
        ((0, 0.5, 3), (1, 1.0)),
        ((0, True),),
        "ab",
    ],
)
def test_steps_are_checked(steps):
    with pytest.raises(ValueError, match="`resolutions` must"):
        ProgressiveResolution(steps)


def test_small_images_keep_their_size_and_stretched_schedules_their_place():
    preset = dataclasses.replace(PRESETS["default"], resolutions=((0, 0.75), (15, 1.0)))
    assert preset.suited_to(45_000, SMALLEST_RESIZED - 1).resolutions == ()
    assert preset.suited_to(45_000, SMALLEST_RESIZED).resolutions == ((0, 0.75), (15, 1.0))
    assert preset.stretched(10).resolutions == ((0, 0.75), (5, 1.0))


def test_network_of_an_interrupted_training_reads_whole_images(tiny_task, tiny_architecture, settings, tmp_path):
    from kgrow.searching.footprint import costs
    from kgrow.searching.objective import chosen_objective
    from kgrow.searching.proposals import Proposal
    from kgrow.searching.space import Candidate
    from kgrow.searching.trials import Trials

    class Impatient(Observer):
        def progress(self, trial, epoch, done, total):
            if epoch == 2:
                raise OutOfTimeError("now")

    footprint = costs(tiny_architecture, "int8", "uint8").footprint((0.5, 0.6), "block")
    proposal = Proposal(Candidate(tiny_architecture, (0.5, 0.6)), {"depth": 2}, footprint)
    with Run.open(tmp_path / "run", {}) as run:
        trials = Trials(tiny_task, settings, chosen_objective("accuracy"), tiny_architecture.macs(), run, Impatient())
        trial = trials.train(0, proposal)
        assert (trial.status, trial.unfinished) == ("stopped", True)
        assert Snapshot.load(trials.directory(0), LAST).architecture.input_shape == (6, 6, 3)
        network = Snapshot.load(trials.directory(0), "best.npz").network()
        assert network.architecture.input_shape == (8, 8, 3)
        answers = network.logits(tiny_task.validation.images)[-1].argmax(axis=-1)
        assert trial.val_accuracy == pytest.approx(np.mean(answers == tiny_task.validation.labels))


def test_augmentation_of_another_class_is_scaled_too():
    class Own(Augmentation):
        def __init__(self, strength):
            super().__init__(shift=strength, cutout=2 * strength)

    scaled = Own(4).at_scale(0.5)
    assert (type(scaled), scaled.shift, scaled.cutout) == (Own, 2, 4)


@pytest.mark.parametrize("size", [5, (1, 2, 3), "ab", (0, 4), None])
def test_size_of_images_is_checked(size):
    with pytest.raises(ValueError, match="`size` must be"):
        ResizeImages(size)
