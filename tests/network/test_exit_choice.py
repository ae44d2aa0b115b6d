"""Tests of which exit rule is chosen, against one worked out image by image."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.network.early_exit import FALLBACKS, ExitRule, answering_head
from kgrow.network.exit_choice import candidates, choose_rule

MACS = (1, 3, 6)
COARSE = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.99, 1.01)


def logits_of(probabilities):
    return np.log(np.asarray(probabilities, np.float64))


def random_logits(seed, heads=3, num_images=20, num_classes=4):
    return np.random.default_rng(seed).normal(0, 3, (heads, num_images, num_classes)).astype(np.float32)


def chosen(logits, max_loss, macs=MACS, max_macs=None, **options):
    labels = np.zeros(logits.shape[1], int)  # class 0 is right
    return choose_rule(logits, labels, macs, list(candidates(logits, labels, macs, **options)), max_loss, max_macs)


def judged(logits, rule, macs=MACS):
    """What a rule loses against the last head, the standard error of that, and what it costs."""
    lost, paid = [], []
    for image, (head, number) in enumerate(zip(*answering_head(logits, rule), strict=True)):
        right = [scores[image].argmax() == 0 for scores in logits]
        lost.append(int(right[-1]) - int(right[head]))
        paid.append(macs[number - 1])
    return statistics.mean(lost), statistics.pstdev(lost) / len(lost) ** 0.5, statistics.mean(paid)


@given(seed=st.integers(0, 10_000), max_loss=st.sampled_from([0.0, 0.1, 0.3, 1.0]))
def test_chosen_rule_is_the_cheapest_that_loses_no_more_than_is_sure(seed, max_loss):
    logits = random_logits(seed)
    loss, error, cost = judged(logits, chosen(logits, max_loss))
    assert loss + error <= max_loss + 1e-12
    for threshold, fallback in itertools.product(COARSE, FALLBACKS):
        other_loss, other_error, other_cost = judged(logits, ExitRule(threshold, fallback))
        assert other_cost >= cost - 1e-9 or other_loss + other_error > max_loss - 1e-12


@pytest.mark.slow
@given(seed=st.integers(0, 10_000))
def test_no_threshold_of_a_priced_rule_could_be_better_by_itself(seed):
    logits, labels = random_logits(seed), np.zeros(20, int)
    per_head = [rule for rule in candidates(logits, labels, MACS) if isinstance(rule.threshold, tuple)]
    for rule, price in zip(per_head, np.geomspace(1, 1000, 31), strict=True):

        def burden(rule, price=price):
            loss, _, cost = judged(logits, rule)
            return cost / MACS[-1] + price * loss

        for head, other in itertools.product(range(2), COARSE):
            thresholds = [other if index == head else value for index, value in enumerate(rule.threshold)]
            assert burden(rule) <= burden(ExitRule(thresholds, "last")) + 1e-9


def test_head_that_is_as_good_as_the_last_has_a_threshold_of_its_own():
    # The first head is wrong wherever it is not sure, the second never, but is not sure of half of the images.
    first = [(0.9, 0.1)] * 50 + [(0.3, 0.7)] * 50
    second = [(0.6, 0.4), (0.95, 0.05)] * 50
    logits = logits_of([first, second, [(0.99, 0.01)] * 100])
    rule = chosen(logits, 0.0)
    assert 0.7 < rule.threshold[0] <= 0.9
    assert rule.threshold[1] <= 0.6
    assert judged(logits, rule) == (0, 0, (1 + 3) / 2)
    assert chosen(logits, 0.0, fallbacks=("most_confident",)).fallback == "most_confident"


def test_few_images_prove_no_small_loss():
    def task(repeats):  # of four images the first head has one wrong that the last has right
        first = ([(0.905, 0.095)] * 3 + [(0.095, 0.905)]) * repeats
        return logits_of([first, [(0.95, 0.05)] * 4 * repeats])

    assert chosen(task(1), 0.3, (1, 2)).threshold > 0.9
    assert chosen(task(1000), 0.3, (1, 2)).threshold <= 0.9


def test_rule_that_is_nothing_but_too_dear_is_the_most_accurate_one():
    # The first head is sure and wrong, the last right: only the last keeps its accuracy.
    logits = logits_of([[(0.095, 0.905)] * 4, [(0.8, 0.2)] * 4])
    assert chosen(logits, 0.0, (1, 2)) == ExitRule(0.91, "last")
    assert chosen(logits, 0.0, (1, 2), fallbacks=("most_confident",)).fallback == "most_confident"


def test_most_accurate_rule_within_a_cost_is_found():
    logits = random_logits(1, num_images=200)
    rule = chosen(logits, 0.0, max_macs=3.0)
    loss, _, cost = judged(logits, rule)
    assert cost <= 3.0
    for threshold, fallback in itertools.product(COARSE, FALLBACKS):
        other_loss, _, other_cost = judged(logits, ExitRule(threshold, fallback))
        assert other_cost > 3.0 or other_loss >= loss - 1e-12
    with pytest.raises(ValueError, match="`max_macs` must be at least 1, the cost of the first head"):
        chosen(logits, 0.0, max_macs=0.5)
