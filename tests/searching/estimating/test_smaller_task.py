"""Tests of tasks with fewer and smaller images: exact counts, exact means."""

import numpy as np
import pytest

from kgrow.searching.estimating.smaller_task import area_average, lower_sides, smaller_task, stratified
from kgrow.task import Split


@pytest.fixture
def uneven():
    labels = np.repeat(np.arange(4), [40, 20, 8, 4]).astype(np.int32)
    images = np.arange(len(labels) * 16, dtype=np.float32).reshape(-1, 4, 4, 1)
    return Split(images, np.random.default_rng(0).permutation(labels))


def test_every_class_gives_exactly_its_share(uneven):
    kept = stratified(uneven, 0.25, seed=3)
    assert np.bincount(kept.labels).tolist() == [10, 5, 2, 1]


def test_class_that_is_too_small_for_its_share_keeps_an_example():
    labels = np.repeat(np.arange(3), [40, 9, 1]).astype(np.int32)
    kept = stratified(Split(np.zeros((50, 4, 4, 1), np.float32), labels), 0.1, seed=0)
    counts = np.bincount(kept.labels, minlength=3)
    assert counts.sum() == 5
    assert counts[2] == 1
    assert abs(counts[0] - 4) <= 1


def test_choice_depends_on_the_seed_alone(uneven):
    first, again, other = (stratified(uneven, 0.5, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
    assert np.bincount(first.labels).tolist() == np.bincount(other.labels).tolist()


def test_images_stay_with_their_labels_in_their_order(uneven):
    kept = stratified(uneven, 0.5, seed=1)
    rows = (kept.images[:, 0, 0, 0] / 16).astype(int)
    np.testing.assert_array_equal(kept.labels, uneven.labels[rows])
    assert (np.diff(rows) > 0).all()


def test_whole_split_is_the_split_itself(uneven):
    assert stratified(uneven, 1.0, seed=1) is uneven


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pixels_are_the_means_of_their_areas(dtype):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 12, 3)).astype(dtype)
    expected = images.reshape(5, 4, 2, 4, 3, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(area_average(images, (4, 4)), expected, rtol=1e-5)


def test_pixels_that_lie_across_a_border_count_on_both_sides():
    row = np.array([3.0, 6.0, 9.0], np.float32).reshape(1, 1, 3, 1)
    expected = [(3 + 0.5 * 6) / 1.5, (0.5 * 6 + 9) / 1.5]
    np.testing.assert_allclose(area_average(row, (1, 2)).ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "ratio", "sides"), [(32, 32, 0.5, (16, 16)), (9, 4, 0.5, (4, 4)), (6, 3, 0.1, (4, 3))]
)
def test_sides_stay_large_enough_to_see_something(height, width, ratio, sides):
    assert lower_sides(height, width, ratio) == sides


def test_smaller_task_never_looks_at_the_test_images(tiny_task):
    small = smaller_task(tiny_task, 0.5, 0.5, seed=0)
    assert small.input_shape == (4, 4, 3)
    assert (len(small.train), len(small.validation)) == (24, len(tiny_task.validation))
    assert np.bincount(small.train.labels).tolist() == [8, 8, 8]
    assert small.test is small.validation
