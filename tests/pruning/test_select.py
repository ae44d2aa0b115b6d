"""Tests of the way from scores to masks."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kgrow.pruning.select import kept_count, select


@st.composite
def ranked_kernels(draw):
    """Scores with many ties, masks that an earlier event may have left, and a count to keep."""
    shapes = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=4))
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    levels = draw(st.sampled_from([1, 3, 1000]))
    alive = draw(st.sampled_from([0.0, 0.2, 0.7, 1.0]))
    saliency = [generator.integers(0, levels, shape).astype(np.float32) for shape in shapes]
    masks = [(generator.random(shape) < alive).astype(np.float32) for shape in shapes]
    total = sum(mask.size for mask in masks)
    return saliency, masks, draw(st.integers(0, total))


@given(ranked_kernels())
def test_count_is_exact_or_all_that_is_alive(case):
    saliency, masks, num_kept = case
    kept = select(saliency, masks, num_kept)
    assert sum(mask.sum() for mask in kept) == min(num_kept, sum(mask.sum() for mask in masks))


@given(ranked_kernels())
def test_masks_are_zeros_and_ones_of_the_kernels_shapes(case):
    saliency, masks, num_kept = case
    for mask, scores in zip(select(saliency, masks, num_kept), saliency, strict=True):
        assert mask.shape == scores.shape
        assert mask.dtype == np.float32
        assert np.isin(mask, (0, 1)).all()


@given(ranked_kernels())
def test_no_connection_is_revived(case):
    saliency, masks, num_kept = case
    for before, after in zip(masks, select(saliency, masks, num_kept), strict=True):
        assert (after <= before).all()


@given(ranked_kernels())
def test_each_kernel_keeps_its_best_connection_while_the_count_allows(case):
    saliency, masks, num_kept = case
    if num_kept >= len(masks):
        for scores, before, after in zip(saliency, masks, select(saliency, masks, num_kept), strict=True):
            if before.any():
                assert scores[after > 0].max() == scores[before > 0].max()


@given(ranked_kernels())
def test_smallest_score_kept_is_at_least_the_largest_removed(case):
    saliency, masks, num_kept = case
    kept = select(saliency, masks, num_kept)
    is_guarded = num_kept >= len(masks)
    kept_scores, removed_scores = [], []
    for scores, before, after in zip(saliency, masks, kept, strict=True):
        in_kernel = list(scores[after > 0])
        if is_guarded and in_kernel:
            in_kernel.remove(max(in_kernel))  # kept for the kernel's sake, whatever its score
        kept_scores += in_kernel
        removed_scores += list(scores[(before > 0) & (after == 0)])
    if kept_scores and removed_scores:
        assert min(kept_scores) >= max(removed_scores)


@given(ranked_kernels(), st.sampled_from([1e-20, 0.5, 3.0, 1e20]))
def test_common_factor_changes_nothing(case, factor):
    saliency, masks, num_kept = case
    scaled = [scores.astype(np.float64) * factor for scores in saliency]
    for first, second in zip(select(saliency, masks, num_kept), select(scaled, masks, num_kept), strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("num_kept", range(7))
def test_ties_keep_exactly_the_count_and_the_earlier_positions(num_kept):
    (kept,) = select([np.ones((2, 3))], [np.ones((2, 3))], num_kept)
    assert kept.ravel().tolist() == [1.0] * num_kept + [0.0] * (6 - num_kept)


def test_ties_among_several_kernels_keep_exactly_the_count():
    kept = select([np.ones(4), np.ones(4), np.ones(4)], [np.ones(4)] * 3, 5)
    assert [mask.tolist() for mask in kept] == [[1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


def test_zero_scores_of_live_connections_come_before_pruned_ones():
    (kept,) = select([np.array([9.0, 0.0, 0.0, 5.0])], [np.array([0, 1, 1, 0])], 2)
    assert kept.tolist() == [0, 1, 1, 0]


def test_kernel_without_any_live_connection_stays_empty():
    first, second = select([np.array([9.0, 8.0]), np.array([1.0, 2.0])], [np.zeros(2), np.ones(2)], 2)
    assert first.tolist() == [0, 0]
    assert second.tolist() == [1, 1]


@given(st.integers(0, 2**32 - 1), st.floats(0, 1.2), st.integers(0, 30))
def test_what_reaches_the_smallest_score_stays_and_one_of_every_live_kernel(seed, least, num_kept):
    generator = np.random.default_rng(seed)
    saliency, masks = generator.random((3, 10)), (generator.random((3, 10)) < 0.7).astype(float)
    masks[2] = 0
    wanted = (saliency >= least) & (masks > 0)
    for scores, mask, row in zip(saliency, masks, wanted, strict=True):
        row[np.argmax(np.where(mask > 0, scores, -1))] |= mask.any()
    kept = np.array(select(list(saliency), list(masks), num_kept, least)) > 0
    assert kept.sum() == min(num_kept, wanted.sum())
    assert not np.any(kept & ~wanted)


@pytest.mark.parametrize("score", [np.nan, np.inf, -1.0])
def test_score_that_ranks_nothing_is_refused(score):
    with pytest.raises(ValueError, match="`saliency` must be finite and non-negative"):
        select([np.array([1.0, score])], [np.ones(2)], 1)


@given(st.integers(1, 200_000), st.integers(1, 100))
@example(100, 29)  # 0.29 * 100 is 28.999999999999996
@example(169_392, 25)
def test_count_is_the_floor_whatever_binary_fractions_do(size, percent):
    assert kept_count(percent / 100, size) == size * percent // 100


def test_a_kernel_that_scores_nothing_may_be_emptied_on_request():
    saliency, masks = [np.zeros((2, 2)), np.array([[0.0, 2.0], [1.0, 3.0]])], [np.ones((2, 2))] * 2
    guarded, emptied = (select(saliency, masks, 3, empties_kernels=empties) for empties in (False, True))
    assert [mask.sum() for mask in guarded] == [1, 2]
    assert [mask.sum() for mask in emptied] == [0, 3]
    assert [mask.sum() for mask in select(saliency, masks, 8, 0.5, empties_kernels=True)] == [0, 3]
