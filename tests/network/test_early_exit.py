"""Tests of early exit, overthinking and confusion: worked out by hand, and on a network that leaves blocks out."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.exporting import EarlyExit
from kgrow.network.early_exit import (
    FALLBACKS,
    THRESHOLDS,
    ExitRule,
    answering_head,
    confusion,
    exit_curve,
    overthinking,
    softmax,
)

MACS = (1, 3, 6)


def logits_of(probabilities):
    return np.log(np.asarray(probabilities, np.float64))


def random_logits(seed, heads=3, num_images=20, num_classes=4):
    return np.random.default_rng(seed).normal(0, 3, (heads, num_images, num_classes)).astype(np.float32)


# Two classes; per head the probability of class 0 for four images.
FOUR = logits_of(
    [[(p, 1 - p) for p in head] for head in ((0.9, 0.6, 0.6, 0.2), (0.6, 0.8, 0.7, 0.3), (0.7, 0.9, 0.4, 0.5))]
)


def test_softmax_is_stable_and_sums_to_one():
    values = softmax(np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]], np.float32))
    np.testing.assert_allclose(values, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], atol=1e-6)


def test_first_head_that_is_confident_enough_answers():
    head, evaluated = answering_head(FOUR, ExitRule(0.75))
    # Image 2 convinces no head, so its most confident one (the second, 0.7) answers after all were asked.
    assert head.tolist() == [0, 1, 1, 0]
    assert evaluated.tolist() == [1, 2, 3, 1]


@given(seed=st.integers(0, 10_000))
def test_threshold_of_zero_lets_the_first_head_answer_always(seed):
    head, evaluated = answering_head(random_logits(seed), ExitRule(0.0))
    assert not head.any()
    assert (evaluated == 1).all()


@given(seed=st.integers(0, 10_000))
def test_threshold_above_one_lets_the_most_confident_head_answer(seed):
    logits = random_logits(seed)
    head, evaluated = answering_head(logits, ExitRule(1.01))
    assert np.array_equal(head, softmax(logits).max(axis=-1).argmax(axis=0))
    assert (evaluated == 3).all()


@given(seed=st.integers(0, 10_000), threshold=st.floats(0, 1.1))
def test_last_head_may_answer_in_place_of_the_most_confident(seed, threshold):
    logits = random_logits(seed)
    head, evaluated = answering_head(logits, ExitRule(threshold, "last"))
    confident, same = answering_head(logits, ExitRule(threshold))
    reached = softmax(logits).max(axis=(0, 2)) >= threshold
    assert np.array_equal(evaluated, same)
    assert np.array_equal(head, np.where(reached, confident, 2))


def test_confidence_equal_to_the_threshold_is_enough():
    logits = np.zeros((2, 1, 2))
    assert answering_head(logits, ExitRule(0.5))[1].tolist() == [1]


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf"), "high", None, {}, [[0.5], [0.5]], [[0.5], 1]])
def test_threshold_that_is_no_confidence_is_refused(threshold):
    with pytest.raises(ValueError, match="`threshold` must be a confidence"):
        ExitRule(threshold)
    with pytest.raises(ValueError, match="`threshold` must be a confidence"):
        ExitRule((0.5, threshold), "last")


@pytest.mark.parametrize("threshold", [(0.75, 0.5), [0.75, 0.5], np.array([0.75, 0.5]), np.float32([0.75, 0.5])])
def test_thresholds_may_be_any_numbers(threshold):
    assert ExitRule(threshold, "last") == ExitRule((0.75, 0.5), "last")
    assert EarlyExit(threshold) == EarlyExit((0.75, 0.5))
    assert json.dumps(ExitRule(np.float32(0.75)).to_json()) == '{"threshold": 0.75, "fallback": "most_confident"}'


def test_thresholds_per_head_are_as_many_as_heads_before_the_last_which_answers():
    logits = logits_of([[(0.9, 0.1), (0.8, 0.2)], [(0.75, 0.25), (0.3, 0.7)], [(0.4, 0.6), (0.4, 0.6)]])
    head, evaluated = answering_head(logits, ExitRule((0.85, 0.6), "last"))
    assert (head.tolist(), evaluated.tolist()) == ([0, 1], [1, 2])
    assert answering_head(logits, ExitRule([0.95, 0.8], "last"))[0].tolist() == [2, 2]
    assert hash(ExitRule([0.95, 0.8], "last")) == hash(ExitRule((0.95, 0.8), "last"))
    with pytest.raises(ValueError, match=r"one for each of the 2 heads before the last, but got \(0\.5,\)"):
        answering_head(logits, ExitRule((0.5,), "last"))
    with pytest.raises(ValueError, match="`fallback` must be 'last' with a `threshold` per head"):
        ExitRule((0.5, 0.6))


def test_exit_curve_is_that_worked_out_by_hand():
    labels = np.array([0, 0, 1, 1])
    points = exit_curve(FOUR, labels, MACS, thresholds=(0.0, 0.75, 1.01))
    assert [point.threshold for point in points] == [0.0, 0.75, 1.01]
    # Answers: 0 0 0 1 of the first head; 0 0 0 1 after 1, 2, 3 and 1 heads; 0 0 0 1 of the heads 0, 2, 1, 0.
    assert [point.accuracy for point in points] == [0.75, 0.75, 0.75]
    assert [point.mean_macs for point in points] == [1.0, (1 + 3 + 6 + 1) / 4, 6.0]


def test_exit_curve_tells_heads_apart_by_accuracy():
    labels = np.array([0, 0, 1, 1])
    first_right, last_right = np.eye(2)[labels], np.eye(2)[1 - labels]
    logits = logits_of(np.stack([0.6 * first_right + 0.2, 0.8 * last_right + 0.1]))  # 0.8 and wrong: 0.9
    points = exit_curve(logits, labels, (1, 2), thresholds=(0.75, 0.85))
    assert [point.accuracy for point in points] == [1.0, 0.0]


@given(seed=st.integers(0, 10_000))
def test_mean_cost_rises_with_the_threshold(seed):
    labels = np.zeros(20, int)
    thresholds = (0.0, *THRESHOLDS, 1.01)
    costs = [point.mean_macs for point in exit_curve(random_logits(seed), labels, MACS, thresholds)]
    assert costs == sorted(costs)
    assert costs[0] == MACS[0]
    assert costs[-1] == MACS[-1]


def test_overthinking_is_that_worked_out_by_hand():
    # Five images of class 0, right (1) or wrong (0) at each head.
    right = np.array([[1, 0, 0, 0, 1], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]])
    logits = np.stack([right, 1 - right], axis=-1).astype(np.float32)
    found = overthinking(logits, np.zeros(5, int), MACS)
    assert found.cumulative_accuracy == (0.4, 0.6, 0.8)
    assert found.wasteful_macs == pytest.approx((1 + 3 + 6 + 6 + 1) / 5)
    assert found.destructive == pytest.approx(2 / 5)


def test_single_head_cannot_overthink():
    found = overthinking(random_logits(0, heads=1), np.zeros(20, int), (5,))
    assert found.wasteful_macs == 5
    assert found.destructive == 0


def test_heads_that_agree_exactly_cause_no_confusion():
    logits = np.repeat(random_logits(0, heads=1), 4, axis=0)
    assert not confusion(logits).any()


def test_confusion_is_that_worked_out_by_hand():
    logits = logits_of([[(0.5, 0.5)], [(0.2, 0.8)], [(0.9, 0.1)]])
    assert confusion(logits).tolist() == pytest.approx([2 * 0.4 + 2 * 0.7])


@given(seed=st.integers(0, 10_000), heads=st.integers(1, 5))
def test_confusion_is_at_most_two_per_earlier_head(seed, heads):
    values = confusion(100 * random_logits(seed, heads))
    assert values.shape == (20,)
    assert (values >= 0).all()
    assert (values <= 2 * (heads - 1) + 1e-9).all()


# The network


@pytest.fixture(scope="module")
def images(tiny_task):
    return tiny_task.validation.images


def test_early_exit_answers_as_the_head_that_all_logits_choose(varied_network, images):
    logits = varied_network.logits(images)
    confidence = softmax(logits).max(axis=-1)
    chosen = set()
    rules = [*itertools.product((0.0, 0.4, 0.5, 0.6, 0.75, 0.9, 0.999, 1.1), FALLBACKS), ((0.75, 0.4), "last")]
    for threshold, fallback in rules:
        assert np.abs(confidence[..., np.newaxis] - np.ravel(threshold)).min() > 1e-5  # else rounding decides
        head, evaluated = answering_head(logits, ExitRule(threshold, fallback))
        chosen |= set(zip(head, evaluated, strict=True))
        for batch_size in (256, 10):
            answers, heads, counts = varied_network.predict_early(images, threshold, batch_size, fallback)
            assert np.array_equal(heads, head)
            assert np.array_equal(counts, evaluated)
            np.testing.assert_allclose(answers, softmax(logits)[head, np.arange(24)], atol=1e-5)
    assert {evaluated for _, evaluated in chosen} == {1, 2, 3}
    assert any(head + 1 < evaluated for head, evaluated in chosen)  # the most confident one, after all were asked


def test_early_exit_traces_a_block_no_more_than_twice_however_many_images_are_left(tiny_network, images):
    network = tiny_network.copy()
    for batch_size in (9, 7, 5, 4):
        network.predict_early(images, 0.5, batch_size)
    assert all(block.run.experimental_get_tracing_count() <= 2 for block in network.blocks)
