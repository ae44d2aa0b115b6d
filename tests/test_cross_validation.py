"""Every image is answered once, by a network that has not seen it; what more images would give is told from half."""

import json

import numpy as np
import pytest

import kgrow
from kgrow import cli
from kgrow.cross_validation import ANSWERS, _document, _parts, gain_of_twice
from kgrow.reporting.cross_validation import sentences
from kgrow.run import Run
from kgrow.task import Task


def squares(number=120, num_classes=3):
    generator = np.random.default_rng(0)
    labels = np.arange(number) % num_classes
    images = generator.integers(0, 120, (number, 8, 8, 3))
    for label in range(num_classes):
        images[labels == label, ..., label] += 60
    return images.astype(np.uint8), labels


def test_folds_hold_every_image_once_in_equal_shares_of_the_classes_and_twins_together():
    images, labels = squares()
    images[::10] = images[0]  # twelve equal images, of three classes
    task = Task.of((images, labels))
    parts = _parts(task, 5, seed=0)
    rows = np.concatenate(parts)
    assert sorted(rows.tolist()) == list(range(120))
    splits = (task.train, task.validation, task.test)
    pooled = np.concatenate([split.labels for split in splits])
    assert max(map(len, parts)) <= 1.6 * 120 / 5
    for part in parts:
        assert np.ptp(np.bincount(pooled[part], minlength=3)) <= 4
    digests = np.concatenate([split.digests for split in splits])
    twins = [number for number, part in enumerate(parts) if np.isin(digests[part], digests[pooled == 0]).any()]
    assert twins == [0, 1, 2, 3, 4]
    values, counts = np.unique(digests, return_counts=True)
    assert sum(values[counts > 1][0] in digests[part] for part in parts) == 1


@pytest.mark.parametrize("folds", [1, 41])
def test_numbers_of_folds_that_cannot_be_are_refused_with_the_most(folds):
    with pytest.raises(ValueError, match=f"from 2 to the 40 images of the smallest class, but got {folds}"):
        _parts(Task.of(squares()), folds, seed=0)


def test_twice_the_images_halve_the_error_again_and_chance_is_not_told_as_a_gain():
    assert gain_of_twice(0.6, 0.8) == pytest.approx(10)
    assert gain_of_twice(0.8, 0.8) is None
    parts = [np.arange(50), np.arange(50, 100)]
    right = {number: np.arange(50) < 45 for number in range(2)}
    less = {number: np.arange(50) < 40 for number in range(2)}
    found = _document(2, parts, right, less)
    assert (found["accuracy"], found["num_images"], found["num_train"]) == (0.9, 100, 42)
    assert found["gain_of_twice"] == pytest.approx(5)
    assert "Twice the images would probably give 5.0 points: with half" in sentences(found)[1]
    found = _document(2, parts, right, {0: np.arange(50) < 44})
    assert found["gain_of_twice"] is None
    assert "cannot be told" in sentences(found)[1]
    found = _document(3, [*parts, np.arange(9)], right, {})
    assert "by 2 of 3 networks" in sentences(found)[0]
    assert found["half"] is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    kgrow.search(Task.of(squares()), trials=1, epochs=6, directory=place, project_name="run", verbose=0)
    return place / "run"


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped_to_the_same_result(run, capsys):
    task = Task.of(squares())
    whole = kgrow.cross_validate(run, task, folds=3, verbose=0)
    assert (whole["num_folds"], whole["num_images"]) == (3, 120)
    assert whole["half"]["full"] == pytest.approx(np.mean(whole["per_fold"][:2]), abs=0.02)
    part = kgrow.cross_validate(run, task, folds=3, max_time="0.01s", overwrite=True, verbose=0)
    assert (part["num_folds"], part["num_images"], part["half"]) == (1, 40, None)
    again = kgrow.cross_validate(run, task, folds=3, verbose=0)
    assert {**again, "seconds": 0} == {**whole, "seconds": 0}
    with pytest.raises(ValueError, match=r"with 4 folds, or none, .* Start over: `overwrite=True` \(--overwrite\)"):
        kgrow.cross_validate(run, task, folds=4, verbose=0)
    images, labels = squares()
    with pytest.raises(ValueError, match="`dataset` must be the data that"):
        kgrow.cross_validate(run, Task.of((images[::-1] // 2, labels)), folds=3, verbose=0)
    # The search is as it was.
    assert kgrow.load(run, task).document["best"]


@pytest.mark.slow
def test_it_goes_on_after_a_loss_of_power_between_any_two_of_its_writes(run, monkeypatch):
    task, save, remove = Task.of(squares()), Run.save_arrays, Run.remove
    whole = kgrow.cross_validate(run, task, folds=3, overwrite=True, verbose=0)

    class PowerFailureError(Exception):
        pass

    def fail_in(original, suits):
        def fails(self, name, *given):
            if suits(name):
                raise PowerFailureError
            return original(self, name, *given)

        return fails

    # Nothing may be removed before the answers are there, and then every checkpoint may be left or gone.
    for method, original, suits in (
        ("save_arrays", save, lambda name: name == ANSWERS),
        ("remove", remove, lambda name: name == "last.npz"),
    ):
        monkeypatch.setattr(Run, method, fail_in(original, suits))
        with pytest.raises(PowerFailureError):
            kgrow.cross_validate(run, task, folds=3, overwrite=True, verbose=0)
        monkeypatch.setattr(Run, method, original)
        again = kgrow.cross_validate(run, task, folds=3, verbose=0)
        assert {**again, "seconds": 0} == {**whole, "seconds": 0}


@pytest.mark.slow
def test_folds_of_less_than_a_batch_are_refused_before_anything_is_trained(tmp_path):
    data = Task.of(squares(number=60))
    config = {"training": {"batch_size": 20}}
    kgrow.search(data, config=config, trials=1, epochs=2, directory=tmp_path, project_name="run", verbose=0)
    found = kgrow.cross_validate(tmp_path / "run", data, folds=2, verbose=0)  # half of 25 images are no batch
    assert (found["num_folds"], found["half"]) == (2, None)
    config = {"training": {"batch_size": 30}}
    kgrow.search(data, config=config, trials=1, epochs=2, directory=tmp_path, project_name="large", verbose=0)
    with pytest.raises(ValueError, match="`folds` must leave a batch of 30 images to train on, but fold 0 leaves"):
        kgrow.cross_validate(tmp_path / "large", data, folds=2, verbose=0)


def test_what_is_missing_is_named(tmp_path, capsys):
    assert cli.main(["cross-validate", str(tmp_path)]) == cli.BAD_USAGE
    assert "must hold a finished search" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_sentences_or_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["search", "digits", "--trials", "1", "--epochs", "2", "--verbose", "0"]) == cli.DONE
    capsys.readouterr()
    command = ["cross-validate", "kgrow_runs/digits", "--folds", "2", "--verbose", "0"]
    assert cli.main([*command, "--json"]) == cli.DONE
    assert json.loads(capsys.readouterr().out)["num_images"] == 1797
    assert cli.main(command) == cli.DONE
    assert "Cross-validated:" in capsys.readouterr().out
