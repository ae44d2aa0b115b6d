"""By how many validation images an epoch is judged."""

import dataclasses

import numpy as np
import pytest

from kgrow.lifecycle import Lifecycle, Preset
from kgrow.lifecycle.judged import judged_fraction, judged_images
from kgrow.lifecycle.pace import Pace
from kgrow.run import Run
from kgrow.task import Split, Task
from kgrow.testing import samples
from kgrow.training import Observer


def split(number, seed):
    generator = np.random.default_rng(seed)
    return Split(generator.integers(0, 256, (number, 8, 8, 3), np.uint8), (np.arange(number) % 3).astype(np.int32))


@pytest.fixture(scope="module")
def many():
    """A task with more validation images than epochs of a part of the training images pay for."""
    return Task("many", split(6000, 1), split(2400, 2), split(30, 3), ("red", "green", "blue"))


@pytest.mark.parametrize(
    ("num_validation", "num_trained", "expected"),
    [(500, 100, 1.0), (3000, 10_000, 1.0), (3000, 5000, 0.5), (3000, 100, 1 / 3), (1000, 1, 1.0)],
)
def test_judging_takes_a_tenth_of_training_but_for_a_thousand_images(num_validation, num_trained, expected):
    assert judged_fraction(num_validation, num_trained) == pytest.approx(expected)


def test_whole_epochs_are_judged_by_nearly_all_and_short_ones_by_fewer(many):
    preset = Preset(epochs=4, batch_size=100)
    assert len(judged_images(many, preset)) == 1800
    assert len(judged_images(many, dataclasses.replace(preset, epoch_share=0.1))) == 1000
    assert judged_images(samples.tiny_task(), Preset(epochs=1, batch_size=16)) is samples.tiny_task().validation


def test_the_same_images_judge_every_epoch_and_are_some_of_the_validation_images(many):
    preset = Preset(epochs=4, batch_size=100, epoch_share=0.1)
    first, second = judged_images(many, preset), judged_images(many, preset)
    assert np.array_equal(first.images, second.images)
    known, found = (
        {(image.tobytes(), int(label)) for image, label in zip(part.images, part.labels, strict=True)}
        for part in (many.validation, first)
    )
    assert len(found) == 1000
    assert found <= known


def test_accuracy_of_an_epoch_is_that_of_the_images_that_judge_it(many, tiny_settings, tmp_path):
    preset = dataclasses.replace(tiny_settings.preset, epochs=1, prune_epochs=(), grow_epochs=(0,), epoch_share=0.1)
    with Run.open(tmp_path / "0000", {}) as run:
        settings = dataclasses.replace(tiny_settings, preset=preset)
        life = Lifecycle(many, samples.tiny_architecture(), (1.0, 1.0), settings, run, Observer())
        life.train()
    judged = judged_images(many, preset)
    expected = [float(np.mean(head.argmax(-1) == judged.labels)) for head in life.network.logits(judged.images)]
    assert life.events[-1]["val_accuracy"] == pytest.approx(expected)


def test_pace_counts_the_images_that_judge():
    pace = Pace(starting_s=0.0, epoch_s=60.0, validation_s=10.0, num_train=45_000, num_validation=5_000)
    assert pace.seconds_for(2, 1.0) == pytest.approx(120.0)
    assert pace.seconds_for(1, 0.1) == pytest.approx(0.1 * 50 + 10 * 1350 / 5000)
    assert pace.seconds_for(1, 0.01) == pytest.approx(0.01 * 50 + 10 * 1000 / 5000)
    for share in (0.05, 0.3, 0.9):
        assert pace.share_within(pace.seconds_for(8, share), 8) == pytest.approx(share, abs=1e-4)
    assert pace.share_within(1e9, 8) == 1.0
    assert pace.share_within(0.1, 8) == 0.0
