import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.task import Task
from kgrow.task.datasets import open_dataset

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 7, 3), np.uint8)
LABELS = np.arange(40) % 2
ONE_HOT = np.eye(2, dtype=np.float32)[LABELS]
EXPECTED = Task.of((IMAGES, LABELS)).fingerprint


def pairs(images=IMAGES, labels=LABELS):
    return tf.data.Dataset.from_tensor_slices((images, labels))


def from_generator(images=IMAGES, labels=LABELS, shape=None):
    signature = tf.TensorSpec(shape, images[0].dtype), tf.TensorSpec((), tf.int64)
    return tf.data.Dataset.from_generator(lambda: zip(images, labels, strict=True), output_signature=signature)


@pytest.mark.parametrize(
    "dataset",
    [
        pairs(),
        pairs().batch(7),
        pairs().batch(8, drop_remainder=True),
        pairs(labels=ONE_HOT),
        pairs(labels=ONE_HOT).batch(7),
        pairs(labels=LABELS[:, None]).batch(7),
        pairs(images=IMAGES.astype(np.float32)).batch(16),
        pairs().map(lambda image, label: {"image": image, "label": label, "id": 0}),
        pairs().batch(7).map(lambda image, label: {"image": image, "label": label}),
        from_generator(),
        from_generator(shape=(None, None, 3)),
        from_generator(shape=(6, 7, 3)),
    ],
    ids=[
        "single", "batched", "static batch", "one-hot", "one-hot batched", "column", "float", "dictionary",
        "dictionary batched", "unknown rank", "unknown sides", "unknown length",
    ],
)  # fmt: skip
def test_every_form_of_the_same_data_gives_the_same_task(dataset):
    assert Task.of(dataset).fingerprint == EXPECTED


def test_gray_images_without_a_channel_axis_get_one():
    gray = IMAGES[..., 0]
    expected = Task.of((gray, LABELS))
    assert expected.input_shape == (6, 7, 1)
    for dataset in (pairs(gray), pairs(gray, ONE_HOT), pairs(gray).batch(7), pairs(gray, ONE_HOT).batch(7)):
        assert Task.of(dataset).fingerprint == expected.fingerprint


def test_images_of_several_sizes_are_resized_to_the_median():
    images = [np.full((8 + 4 * (index % 3), 200, 3), 10 * (index % 2), np.uint8) for index in range(30)]
    task = Task.of(from_generator(images, np.arange(30) % 2, (None, None, 3)))
    assert task.input_shape == (6, 96, 3)  # 12x200, reduced to 96 pixels
    assert any("Resized 30 images to 6x96" in note for note in task.notes)
    assert Task.of(from_generator(images, np.arange(30) % 2), image_size=8).input_shape == (8, 8, 3)


def test_class_names_of_a_directory_dataset_are_taken_over():
    dataset = pairs()
    dataset.class_names = ["cat", "dog"]
    assert Task.of(dataset).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    "change",
    [
        lambda dataset: dataset.prefetch(2),
        lambda dataset: dataset.batch(4).map(lambda images, labels: (images // 2, labels)).cache().prefetch(1),
        lambda dataset: dataset.shuffle(9).repeat(1),
        lambda dataset: dataset.take(20).concatenate(dataset.skip(20)),
        lambda dataset: tf.data.Dataset.zip((dataset, dataset)).map(lambda one, other: one),
    ],
)
def test_class_names_of_a_directory_dataset_survive_what_is_done_with_it(change):
    dataset = pairs()
    dataset.class_names = ["cat", "dog"]
    assert Task.of(change(dataset)).class_names == ("cat", "dog")


def test_inherited_class_names_that_do_not_fit_any_more_are_left_out():
    dataset = pairs(labels=np.arange(40) % 4)
    dataset.class_names = ["ant", "bee", "cat", "dog"]
    task = Task.of(dataset.map(lambda image, label: (image, label // 2)))
    assert task.class_names == ("0", "1")
    assert "Left out the class names 'ant', 'bee', 'cat', 'dog': there are 2 classes by now." in task.notes


def test_given_splits_may_be_datasets():
    task = Task.of(pairs(), validation_data=pairs().take(5), test_data=pairs(labels=ONE_HOT).batch(4).take(2))
    assert (len(task.train), len(task.validation), len(task.test)) == (40, 5, 8)


def test_autotune_is_off(monkeypatch):
    seen = []
    iterate = tf.data.Dataset.as_numpy_iterator

    def spy(dataset):
        seen.append(dataset.options().autotune.enabled)
        return iterate(dataset)

    monkeypatch.setattr(tf.data.Dataset, "as_numpy_iterator", spy)
    for dataset in (pairs(), pairs().batch(4), from_generator()):
        Task.of(dataset)
    assert set(seen) == {False}


def test_a_generator_without_end_is_stopped(monkeypatch):
    def generate():
        while True:
            yield IMAGES[0], 0

    monkeypatch.setattr("kgrow.task.reader.MOST_IMAGES", 300)
    signature = tf.TensorSpec((6, 7, 3), tf.uint8), tf.TensorSpec((), tf.int64)
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    with pytest.raises(ValueError, match="`source` must end, but after 512 images"):
        Task.of(dataset)
    assert len(Task.of(pairs().repeat(9)).train) == 234  # says its length


def test_fixed_sizes_are_read_once():
    assert open_dataset(pairs()).sizes is None
    assert open_dataset(pairs().batch(4)).sizes is None
    assert open_dataset(pairs()).num_examples == 40
    assert open_dataset(from_generator(shape=(None, None, 3))).sizes is not None


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (pairs().repeat(), "end, but got an infinite data set"),
        (tf.data.Dataset.from_tensor_slices(IMAGES), r"yield \(image, label\) pairs"),
        (tf.data.Dataset.from_tensor_slices((IMAGES, LABELS, LABELS)), "but got 3 values. Sample weights"),
        (tf.data.Dataset.from_tensor_slices({"x": IMAGES, "label": LABELS}), r"the keys \['label', 'x'\]"),
        (pairs().take(0), "at least one image, but got none"),
        (pairs(labels=np.tile([[0.5, 0.5]], (40, 1))), r"got \[0.5, 0.5\] at index 0"),
        (pairs(IMAGES / np.float32("nan")), "but got 40 images with NaN.*first at index 0"),
        (pairs(IMAGES.reshape(40, -1)).batch(4), "Reshape flat vectors"),
    ],
)
def test_bad_datasets_get_a_clear_error(dataset, message):
    with pytest.raises(ValueError, match="^`source` must .*" + message):
        Task.of(dataset)
