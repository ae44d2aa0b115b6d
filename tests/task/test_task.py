import dataclasses
import hashlib
import subprocess
import sys

import numpy as np
import pytest

from kgrow.task import Split, Task


def make_split(num_examples=12, channels=3, seed=0, num_classes=3, dtype=np.uint8):
    images = np.random.default_rng(seed).integers(0, 256, (num_examples, 5, 6, channels)).astype(dtype)
    return Split(images, (np.arange(num_examples) % num_classes).astype(np.int32))


def make_task(**changes):
    fields = {"train": make_split(), "validation": make_split(6, seed=1), "test": make_split(6, seed=2)}
    return Task("made", **{**fields, "class_names": ("a", "b", "c"), **changes})


def test_importing_it_loads_no_tensorflow():
    code = "import sys, kgrow.task; kgrow.task.Task.of('digits'); print([m for m in sys.modules if 'tensorflow' in m])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


def test_properties_describe_the_data():
    task = make_task()
    assert task.input_shape == (5, 6, 3)
    assert task.num_classes == 3
    assert task.dtype == np.uint8
    assert repr(task) == "Task('made', 12/6/6 train/validation/test images of 5x6x3 uint8, 3 classes)"


def test_a_task_is_returned_as_it_is():
    task = make_task()
    assert Task.of(task) is task


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pixel_statistics_are_those_of_the_training_split(dtype, monkeypatch):
    monkeypatch.setattr("kgrow.task.split.CHUNK_BYTES", 1500)  # several chunks
    train = make_split(40, dtype=dtype)
    task = make_task(train=train, validation=make_split(6, dtype=dtype), test=make_split(6, dtype=dtype))
    pixels = train.images.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(task.pixel_mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(task.pixel_std, pixels.std(axis=0), rtol=1e-12)
    assert all(type(value) is float for value in task.pixel_mean + task.pixel_std)


@pytest.mark.parametrize("value", [0, 0.1, 123.456, 255])
def test_constant_channel_has_a_deviation_of_one(value):
    images = np.random.default_rng(0).random((1200, 4, 4, 2))
    images[..., 1] = value
    task = Task.of((images, np.arange(1200) % 2))
    assert task.pixel_std[1] == 1.0
    assert task.pixel_mean[1] == np.float32(value)
    assert 0.2 < task.pixel_std[0] < 0.4


def test_fingerprint_changes_with_every_part_of_the_data_and_nothing_else():
    task = make_task()
    assert task.fingerprint == make_task(class_names="xyz", notes=("said",)).fingerprint
    assert len(task.fingerprint) == 16
    assert int(task.fingerprint, 16) >= 0
    others = {task.fingerprint}
    for role in ("train", "validation", "test"):
        split = getattr(task, role)
        images, labels = split.images.copy(), split.labels.copy()
        images[-1, -1, -1, -1] ^= 1
        labels[-2:] = labels[-2:][::-1]
        others.add(make_task(**{role: Split(images, split.labels)}).fingerprint)
        others.add(make_task(**{role: Split(split.images, labels)}).fingerprint)
    others.add(make_task(validation=task.test, test=task.validation).fingerprint)
    assert len(others) == 8


def test_fingerprint_is_the_same_on_every_machine_and_in_any_chunks(monkeypatch):
    task = make_task()
    expected = hashlib.sha256()
    for split in (task.train, task.validation, task.test):
        expected.update(f"{split.images.shape} uint8".encode() + split.images.tobytes() + split.labels.tobytes())
    monkeypatch.setattr("kgrow.task.split.CHUNK_BYTES", 100)
    assert task.fingerprint == expected.hexdigest()[:16]


@pytest.mark.parametrize("num_examples", [8, 9, 20, 57, 300])
@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_splits_are_disjoint_and_cover_the_source_for_many_sizes(num_examples, num_classes):
    images = np.arange(num_examples, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32)
    labels = np.random.default_rng(1).permutation(np.arange(num_examples) % num_classes)
    task = Task.of((images, labels), seed=4)

    seen = []
    for split in (task.train, task.validation, task.test):
        indices = split.images[:, 0, 0, 0].astype(int)
        np.testing.assert_array_equal(split.labels, labels[indices])
        seen.extend(indices)
    assert sorted(seen) == list(range(num_examples))
    assert set(task.train.labels) == set(range(num_classes))
    if num_examples >= 20:
        assert len(task.test) == round(0.2 * num_examples)
        assert len(task.validation) == round(0.15 * num_examples)


def test_the_share_that_is_set_aside_may_be_chosen_and_leaves_the_test_split_alone():
    source = make_split(60).images, np.arange(60) % 3
    task, usual = Task.of(source, validation_split=0.05), Task.of(source)
    assert (len(task.train), len(task.validation)) == (45, 3)
    assert (task.test.images == usual.test.images).all()


def test_a_share_beside_a_given_validation_split_is_refused():
    source = make_split(60).images, np.arange(60) % 3
    with pytest.raises(ValueError, match="`validation_split` must be left out where a validation split is given"):
        Task.of(source, validation_data=source, validation_split=0.1)


def test_seed_alone_decides_the_split():
    source = make_split(60).images, np.arange(60) % 3
    first, again, other = (Task.of(source, seed=seed).fingerprint for seed in (0, 0, 1))
    assert first == again != other


def test_data_that_come_shuffled_are_divided_alike():
    images, labels = make_split(60).images, np.arange(60) % 3
    order = np.random.default_rng(5).permutation(60)
    shuffled = Task.of((images[order], labels[order]), test_data=(images[:9][::-1], labels[:9][::-1]))
    assert shuffled.fingerprint == Task.of((images, labels), test_data=(images[:9], labels[:9])).fingerprint


def test_a_task_takes_nothing_that_would_be_ignored():
    task = make_task()
    for name, value in {"test_data": (0, 0), "image_size": 8, "name": "other", "validation_split": 0.1}.items():
        with pytest.raises(ValueError, match=f"`{name}` must be left out with a task"):
            Task.of(task, **{name: value})


def test_the_callers_arrays_are_left_alone():
    images, labels = make_split(30).images, np.arange(30) % 3
    kept = images.copy()
    task = Task.of((images, labels))
    np.testing.assert_array_equal(images, kept)
    assert images.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        task.train.images[0] = 0
    images[:] = 0
    assert task.train.images.any()


def test_name_and_class_names_may_be_given():
    task = Task.of((make_split().images, np.arange(12) % 3), name="mine", class_names=["x", "y", "z"])
    assert (task.name, task.class_names) == ("mine", ("x", "y", "z"))
    assert dataclasses.replace(task, class_names=("u", "v", "w")).class_names == ("u", "v", "w")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": make_split(6, channels=1)}, "`test` must hold images like those of `train`, 5x6x3 uint8, but got"),
        ({"validation": make_split(6, dtype=np.float32)}, "`validation` must hold images like those of `train`"),
        ({"test": make_split(0)}, "`test` must hold at least one image"),
        (
            {"test": make_split(6, num_classes=4)},
            r"`test` must have labels in 0..2 \(3 classes\), but got 3 at index 3",
        ),
        ({"train": make_split(12, num_classes=2)}, "a training image of every class, but got none of 'c'"),
        ({"class_names": ("a",), "train": make_split(num_classes=1)}, "labels in 0..0|at least 2 classes"),
    ],
)
def test_splits_that_make_no_task_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_task(**changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 3}, "`image_size` must be a side of at least 4 pixels, .* but got 3"),
        ({"image_size": (8,)}, "`image_size` must be"),
        ({"image_size": 8.5}, "`image_size` must be"),
        ({"validation_split": 10}, r"`validation_split` must be in \(0, 1\), but got 10"),
        ({"validation_split": True}, r"`validation_split` must be in \(0, 1\)"),
        ({"seed": -1}, "`seed` must be 0 or a positive integer, but got -1"),
        ({"seed": 1.5}, "`seed` must be 0 or a positive integer"),
        ({"cache_bytes": -5}, "`cache_bytes` must be 0 or a positive integer"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Task.of("digits", **options)


@pytest.mark.parametrize("given", [{}, {"test_data": (make_split(9, seed=3).images, np.arange(9) % 2)}])
def test_equal_images_are_never_on_both_sides_of_a_split(given):
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (60, 5, 6, 3), np.uint8), random.integers(0, 2, 60)
    task = Task.of((np.repeat(images, 3, axis=0), np.repeat(labels, 3)), **given)
    digests = [set(split.digests.tolist()) for split in (task.train, task.validation, task.test)]
    assert [len(found) for found in digests] == ([39, 9, 12] if not given else [51, 9, 9])
    assert len(set.union(*digests)) == sum(map(len, digests))
