import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.task import Task, catalog
from kgrow.task.stream import Options

FEATURES_OF_PETS = ["none", "cat", "dog"]


@pytest.fixture(scope="module")
def tfds():
    return catalog._import_tfds()


@pytest.fixture
def prepare(tfds, tmp_path):
    """Returns a function that stores a data set as TFDS does, with the given splits."""

    def store(splits, features=None, name="pets_made_here"):
        features = features or {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=FEATURES_OF_PETS),
        }
        signature = {key: feature.get_tensor_spec() for key, feature in features.items()}
        datasets = {
            split: tf.data.Dataset.from_generator(lambda examples=examples: iter(examples), output_signature=signature)
            for split, examples in splits.items()
        }
        with catalog._quiet_log():
            tfds.dataset_builders.store_as_tfds_dataset(
                name, "1.0.0", tfds.features.FeaturesDict(features), datasets, data_dir=str(tmp_path)
            )
        return tmp_path

    return store


def pets(num_examples, height=10):
    return [
        {"image": np.full((height + 4 * (index % 3), 20, 3), 50 * (1 + index % 2), np.uint8), "label": 1 + index % 2}
        for index in range(num_examples)
    ]


def test_sizes_differ_and_a_class_is_unused_and_validation_becomes_the_test_split(prepare):
    task = Task.of("pets_made_here", data_dir=prepare({"train": pets(30), "validation": pets(6)}))

    assert task.name == "pets_made_here"
    assert task.input_shape == (14, 20, 3)
    assert task.class_names == ("cat", "dog")
    assert (len(task.train), len(task.validation), len(task.test)) == (27, 3, 6)
    for split in (task.train, task.validation, task.test):
        np.testing.assert_array_equal(split.images[:, 0, 0, 0], 50 * (1 + split.labels))
    told = " ".join(task.notes)
    assert "has no test split: its validation split is the test split." in told
    assert "Left out 1 class without any example: 'none'." in told
    assert "Resized 24 images to 14x20" in told


def test_test_split_is_carved_when_there_is_no_other(prepare):
    task = Task.of("pets_made_here", data_dir=prepare({"train": pets(40)}))
    assert (len(task.train), len(task.validation), len(task.test)) == (28, 4, 8)
    assert any("20% of its training images" in note for note in task.notes)


def test_all_three_splits_are_kept(prepare):
    splits = {"train": pets(20), "validation": pets(6), "test": pets(4)}
    task = Task.of("pets_made_here:1.0.0", data_dir=prepare(splits))
    assert (len(task.train), len(task.validation), len(task.test)) == (20, 6, 4)


def test_prepared_data_needs_no_network(prepare, monkeypatch):
    data_dir = prepare({"train": pets(20), "test": pets(4)})

    def refuse(*_):
        raise AssertionError("no connection is needed")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    builder = catalog._make_builder("pets_made_here", Options(data_dir=str(data_dir)))
    monkeypatch.setattr(type(builder), "download_and_prepare", refuse)
    assert len(Task.of("pets_made_here", data_dir=data_dir).test) == 4


def test_data_that_cannot_be_prepared_says_where_it_looked(tfds, tmp_path, monkeypatch):
    def fail(_):
        raise ConnectionError("no route")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(OSError, match=r"(?s)can download, but got 'mnist'.*pass `data_dir`.*ConnectionError: no route"):
        Task.of("mnist", data_dir=tmp_path)


def test_download_talk_stays_off_the_standard_output(tfds, tmp_path, monkeypatch, capsys):
    def talk(_):
        print("Downloading and preparing")
        raise ConnectionError

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", talk)
    with pytest.raises(OSError, match="`source` must"):
        Task.of("mnist", data_dir=tmp_path)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Downloading" in captured.err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", "an existing folder, but got 'mnits'. Nearest names: mnist"),
        ("digit", "Nearest names: .*digits"),
        ("cifar11:1.0.0", "Nearest names: .*cifar10"),
        ("qqqqqqqqqqqq", r"`tensorflow_datasets.list_builders\(\)` lists the names"),
        ("photos/cats and dogs", "an existing folder, but got 'photos/cats and dogs'"),
        ("cifar10:9.9.9", "version and configuration that exist, but got 'cifar10:9.9.9'.*only: 3.0.2"),
        ("emnist/nothing", "version and configuration that exist, but got 'emnist/nothing'"),
        ("ag_news_subset", "images with one class label each, but got 'ag_news_subset' .* description, label, title"),
    ],
)
def test_unusable_names_get_a_clear_error(tfds, tmp_path, name, message):
    with pytest.raises(ValueError, match="^`source` must .*" + message):
        Task.of(name, data_dir=tmp_path)


def test_missing_train_split_is_told(prepare):
    with pytest.raises(ValueError, match=r"a split named 'train', but got 'pets_made_here' with \['test'\]"):
        Task.of("pets_made_here", data_dir=prepare({"test": pets(4)}))


def test_names_are_those_that_tfds_registers(tfds):
    first, *names = Path(catalog.__file__).with_name("registered.txt").read_text().splitlines()
    if tfds.__version__ != first.split()[-1]:
        pytest.skip("the list is of another version of TFDS, so TFDS itself is asked")
    assert set(names) <= set(tfds.list_builders(with_community_datasets=False))
    packaged = [child.name for child in (Path(tfds.__file__).parent / "datasets").iterdir() if child.is_dir()]
    assert {"mnist", "cifar10", "beans", *packaged} - {"__pycache__"} <= set(names)


def test_another_version_of_tfds_is_asked_itself(monkeypatch):
    monkeypatch.setattr(catalog, "version", lambda _: "99.0")
    monkeypatch.setattr(catalog, "_import_tfds", lambda: SimpleNamespace(list_builders=lambda **_: ["from_the_future"]))
    assert catalog.is_known("from_the_future/all")


@pytest.mark.skipif("TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR does not say where MNIST is prepared")
def test_mnist_itself():
    task = Task.of("mnist")
    assert task.input_shape == (28, 28, 1)
    assert task.dtype == np.uint8
    assert (len(task.train), len(task.validation), len(task.test)) == (54_000, 6_000, 10_000)
    assert task.class_names == tuple("0123456789")
    # The published counts, mean and standard deviation of MNIST.
    labels = np.concatenate([task.train.labels, task.validation.labels])
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(task.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_allclose(task.pixel_mean[0] / 255, 0.1307, atol=5e-4)
    np.testing.assert_allclose(task.pixel_std[0] / 255, 0.3081, atol=5e-4)
    share = np.bincount(task.validation.labels) / np.bincount(labels)
    np.testing.assert_allclose(share, 0.1, atol=1e-3)
