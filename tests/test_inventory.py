import dataclasses
import os

import numpy as np
import pytest

from kgrow._encoding import encode_arrays
from kgrow.inventory import changed_images, check_same_images, record_images
from kgrow.run import Run
from kgrow.task import Split, Task

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 6, 7, 3), np.uint8)
LABELS = np.arange(60) % 3


def task_of(images=IMAGES, labels=LABELS, **options):
    return Task.of((images, labels), class_names="abc", **options)


@pytest.fixture
def directory(tmp_path):
    with Run.open(tmp_path / "run", {}) as run:
        record_images(run, task_of())
    return tmp_path / "run"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_pipe_in_place_of_the_list_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "images.npz")
    assert changed_images(tmp_path, task_of()) == ""


@pytest.mark.parametrize(
    ("images", "labels", "changes"),
    [
        (np.concatenate([IMAGES, IMAGES[:1] + 1]), np.append(LABELS, 0), "1 image was added"),
        (np.concatenate([IMAGES, IMAGES[:2]]), np.append(LABELS, LABELS[:2]), "2 images were added"),
        (IMAGES[3:], LABELS[3:], "3 images were removed"),
        (
            np.concatenate([IMAGES[:1] + 1, IMAGES[1:]]),
            LABELS,
            "1 image was added and 1 image was removed, where one that was changed counts as both",
        ),
        (IMAGES, np.append(LABELS[:-1], 0), "1 image was given another label"),
        (IMAGES[::-1], LABELS[::-1], ""),
    ],
)
def test_what_was_added_removed_or_relabeled_is_counted(images, labels, changes, directory):
    assert changed_images(directory, task_of(images, labels)) == changes


def test_the_same_images_otherwise_divided_or_resized_are_for_the_configuration_to_tell(directory):
    assert changed_images(directory, task_of(seed=3, validation_split=0.4)) == ""
    assert changed_images(directory, task_of(image_size=9)) == ""


def test_images_whose_median_size_has_changed_are_told_by_their_number(directory):
    images = np.concatenate([IMAGES, IMAGES[:1]])
    changes = changed_images(directory, task_of(images, np.append(LABELS, 0), image_size=(7, 7)))
    assert changes.startswith("there are 61 images where there were 60, and their size, the median, is now 7x7x3 where")


def test_a_change_is_refused_with_the_way_to_start_over(directory):
    task = task_of(IMAGES[1:], LABELS[1:])
    with pytest.raises(
        ValueError, match=r"1 image was removed\. Pass `overwrite=True` \(`--overwrite`\) to start over"
    ):
        check_same_images(directory, task, lambda: task)
    check_same_images(directory, task_of(), task_of)


def test_a_source_that_differs_when_read_twice_is_named(directory):
    noise = iter(range(1, 9))

    def read():
        return task_of(IMAGES // 2 + np.uint8(next(noise)))  # none is as it was

    with pytest.raises(ValueError, match=r"must give the same images each time it is read .* `augmentation`"):
        check_same_images(directory, read(), read)


def test_other_data_altogether_are_for_the_configuration_to_tell(directory):
    task = task_of(255 - IMAGES)
    check_same_images(directory, task, lambda: task)


def test_a_source_that_can_be_read_only_once_is_named(directory):
    with pytest.raises(ValueError, match="can be read only once"):
        check_same_images(directory, task_of(IMAGES[1:], LABELS[1:]), lambda: task_of(IMAGES[:0], LABELS[:0]))


UNEQUAL = encode_arrays(
    {"digests": np.zeros(3, np.uint64), "labels": np.zeros(2, np.int32)}, {"input_shape": [8, 8, 1]}
)


@pytest.mark.parametrize("damage", [b"", b"PK", UNEQUAL, None], ids=["empty", "torn", "unequal", "missing"])
def test_a_run_without_a_readable_list_of_images_is_judged_by_its_configuration(damage, directory):
    path = directory / "images.npz"
    path.unlink() if damage is None else path.write_bytes(damage)
    assert changed_images(directory, task_of(IMAGES[1:], LABELS[1:])) == ""
    check_same_images(directory, task_of(IMAGES[1:], LABELS[1:]), task_of)


def test_the_list_is_that_of_the_beginning(directory):
    before = (directory / "images.npz").read_bytes()
    with Run.open(directory, {}) as run:
        record_images(run, task_of(IMAGES[1:], LABELS[1:]))
    assert (directory / "images.npz").read_bytes() == before
    task = dataclasses.replace(task_of(), train=Split(IMAGES, LABELS.astype(np.int32)))
    assert changed_images(directory, task) == "21 images were added"  # of validation and test, a second time
