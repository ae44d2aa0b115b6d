import numpy as np
import pytest

from kgrow.document import baseline_document
from kgrow.task import Task
from kgrow.task.twins import near_twins, thumbnails


def noise(num_images, side=16, seed=0):
    return np.random.default_rng(seed).integers(20, 230, (num_images, side, side, 3), np.uint8)


@pytest.fixture(scope="module")
def imbalanced():
    return Task.of((noise(300), np.repeat([0, 1, 2], [285, 10, 5])), class_names=("good", "scratch", "dent"))


def test_it_tells_images_classes_splits_copies_and_what_the_largest_class_scores(imbalanced):
    classes, splits, baseline, *_ = imbalanced.overview
    assert classes == "300 images of 16x16x3, uint8, in 3 classes: 'good' 285, 'scratch' 10, 'dent' 5."
    assert splits.startswith("Divided into 195 for training, 45 for validation (set aside), 60 for test (set aside).")
    assert splits.endswith("No image occurs twice, pixel for pixel.")
    assert baseline == "Always answering 'good' would be right for 95.0 % of the test images."


def test_the_largest_class_is_that_of_the_training_images_at_the_start_as_at_the_end():
    labels, twos = np.repeat([0, 1], [40, 20]), np.ones(4, np.int64)
    given = {"validation_data": (noise(4, seed=1), twos), "test_data": (noise(4, seed=2), twos)}
    task = Task.of((noise(60), labels), class_names=("many", "few"), **given)
    assert "Always answering 'many' would be right for 0.0 % of the test images." in task.overview
    assert baseline_document(task, 1.0) == {"class": "many", "test_accuracy": 0.0, "is_beaten": True}


def test_a_single_copy_is_told_in_the_singular():
    images, labels, others = noise(60), np.arange(60) % 2, noise(8, seed=1)
    given = {"validation_data": (others[:4], labels[:4]), "test_data": (np.r_[images[:1], others[4:]], labels[1:6])}
    told = " ".join(Task.of((images, labels), **given).overview)
    assert "1 image repeats another, pixel for pixel." in told
    assert "1 test image equals training or validation images, pixel for pixel" in told
    assert "1 image occurs under several labels" in told


def test_classes_with_fewer_than_three_images_to_judge_by_are_named(imbalanced):
    *_, small = imbalanced.overview
    assert small.startswith("Too few validation and test images to judge 2 classes: 'scratch' 1 and 2, 'dent' 1 and 1.")


def test_many_classes_are_cut_short():
    task = Task.of((noise(400), np.arange(400) % 40))
    assert "'9' 10 and 30 more." in task.overview[0]
    assert "40 classes: '0' " in task.overview[-1]


def test_given_splits_that_share_images_are_counted():
    images, labels = noise(60), np.arange(60) % 2
    task = Task.of((images, labels), test_data=(images[:7], labels[:7]), validation_data=(images[50:], labels[50:]))
    told = " ".join(task.overview)
    assert "17 images repeat others, pixel for pixel." in told
    assert "7 test images equal training or validation images, pixel for pixel" in told
    assert "10 validation images equal training images, pixel for pixel" in told
    assert "set aside" not in told


def test_images_that_nearly_equal_those_of_another_split_are_counted():
    images, labels = noise(60), np.arange(60) % 2
    brightened = images[:9] + np.uint8(3)
    told = Task.of((images, labels), test_data=(brightened, labels[:9])).overview
    assert any("9 test images nearly equal training or validation images" in sentence for sentence in told)


def test_different_images_are_no_near_twins(digits):
    assert not any("nearly" in sentence for sentence in digits.overview)


@pytest.mark.parametrize("shape", [(5, 4, 4, 1), (5, 8, 9, 3), (5, 31, 17, 4)])
def test_a_thumbnail_holds_means_of_areas_whatever_the_size(shape):
    images = np.random.default_rng(0).random(shape).astype(np.float32)
    small = thumbnails(images, (0.0, 2.0))
    assert small.shape == (5, 8, 9)
    if shape[1:3] == (8, 9):
        np.testing.assert_allclose(small, images.mean(axis=3) / 2, rtol=1e-5)
    assert near_twins(small, small).all()
    assert not near_twins(small[:2], small[2:]).any()


def test_flat_images_of_one_hash_are_told_apart_by_their_gray():
    flat = np.repeat(np.linspace(0, 1, 5, dtype=np.float32), 72).reshape(5, 8, 9)
    assert near_twins(flat, flat[::2]).tolist() == [True, False, True, False, True]


def test_images_under_several_labels_are_counted():
    images = np.repeat(noise(20), 2, axis=0)
    labels = np.r_[np.arange(36) // 2 % 2, [0, 1, 0, 1]]
    assert any("2 images occur under several labels" in told for told in Task.of((images, labels)).overview)
