import numpy as np
import pytest

from kgrow.task.partition import apportion, carve, carve_whole, reorder

COUNTS = [
    [2, 2],
    [1, 3],
    [1, 1, 3],
    [5, 5, 5],
    [100, 3, 1],
    [17, 41, 8, 9],
    [1000, 10],
    [12] * 10,
    [2] * 30,
    [0, 4, 4],
    [1] * 8 + [2, 2],
]


def make_labels(counts, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_parts_are_disjoint_cover_everything_and_leave_each_class_an_example(counts, seed):
    labels = make_labels(counts)
    parts = carve(labels, [0.2, 0.15], seed)

    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    assert all(len(part) > 0 for part in parts)
    assert all((np.diff(part) > 0).all() for part in parts)
    kept = np.bincount(labels[parts[0]], minlength=len(counts))
    np.testing.assert_array_equal(kept > 0, np.array(counts) > 0)


@pytest.mark.parametrize("counts", [counts for counts in COUNTS if min(counts) >= 8])
def test_every_class_gives_its_share_to_the_nearest_example(counts):
    labels = make_labels(counts)
    _, test, validation = carve(labels, [0.2, 0.15], 3)
    for part, ratio in ((test, 0.2), (validation, 0.15)):
        assert len(part) == round(ratio * len(labels))
        taken = np.bincount(labels[part], minlength=len(counts))
        assert np.abs(taken - ratio * np.array(counts)).max() < 1.01


def test_same_seed_gives_the_same_parts_and_another_seed_others():
    labels = make_labels([40, 60])
    first, again, other = (carve(labels, [0.3], seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_test_part_does_not_depend_on_whether_validation_is_carved_too():
    labels = make_labels([40, 60])
    np.testing.assert_array_equal(carve(labels, [0.2], 5)[1], carve(labels, [0.2, 0.15], 5)[1])


@pytest.mark.parametrize("counts", [[1, 1], [1, 2], [1, 1, 2]])
def test_too_few_examples_are_refused_with_the_number_needed(counts):
    with pytest.raises(ValueError, match=f"at least {len(counts) + 2} images to be divided, but got {sum(counts)}"):
        carve(make_labels(counts), [0.2, 0.15], 0)


def test_apportion_sums_to_the_total_within_its_limits():
    random = np.random.default_rng(0)
    for _ in range(200):
        limits = random.integers(0, 6, size=7)
        total = int(random.integers(0, limits.sum() + 1))
        ideal = random.random(7)
        share = apportion(ideal * (total / ideal.sum()), limits, total, random)
        assert share.sum() == total
        assert (share >= 0).all()
        assert (share <= limits).all()


def test_apportion_gives_the_largest_remainders_first():
    share = apportion(np.array([1.2, 0.9, 2.7]), np.array([9, 9, 9]), 5, np.random.default_rng(0))
    np.testing.assert_array_equal(share, [1, 1, 3])


@pytest.mark.parametrize("num_rows", [0, 1, 2, 3, 17, 200])
def test_reorder_does_in_place_what_indexing_does(num_rows):
    random = np.random.default_rng(num_rows)
    rows = random.random((num_rows, 2, 3))
    order = random.permutation(num_rows)
    expected = rows[order]
    kept_order = order.copy()
    reorder(rows, order)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(order, kept_order)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_every_class_keeps_an_example(seed):
    random = np.random.default_rng(seed)
    groups = random.integers(0, 40, 120)
    labels = random.integers(0, 3, 120)  # of one group, too
    labels[groups == 7] = 3
    parts = carve_whole(labels, groups, [0.2, 0.15], seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(120))
    assert sum(len(np.unique(groups[part])) for part in parts) == len(np.unique(groups))
    assert set(labels[parts[0]]) == {0, 1, 2, 3}


def test_a_class_that_only_other_classes_stand_for_keeps_an_example():
    labels = np.array([0, 0, 0, 0, 0, 1, 0, 1])  # class 1 comes second in the last two groups alone
    groups = np.array([0, 1, 2, 3, 4, 4, 5, 5])
    for seed in range(20):
        assert set(labels[carve_whole(labels, groups, [0.4], seed)[0]]) == {0, 1}


def test_no_part_is_empty_where_groups_of_several_classes_are_few():
    for seed in range(300):
        random = np.random.default_rng(seed)
        labels, groups = random.integers(0, 3, 12), np.arange(12) // 3
        assert all(map(len, carve_whole(labels, groups, [0.2, 0.15], seed)))


def test_without_groups_the_parts_are_those_of_the_examples():
    labels = make_labels([17, 41, 8, 9])
    numbers = np.random.default_rng(1).permutation(len(labels))
    for whole, part in zip(carve_whole(labels, numbers, [0.2, 0.15], 3), carve(labels, [0.2, 0.15], 3), strict=True):
        np.testing.assert_array_equal(whole, part)


def test_where_groups_are_too_few_the_examples_are_divided():
    labels = make_labels([12, 12])
    for whole, part in zip(carve_whole(labels, labels, [0.2, 0.15], 3), carve(labels, [0.2, 0.15], 3), strict=True):
        np.testing.assert_array_equal(whole, part)
