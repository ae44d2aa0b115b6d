"""Which network wins, without training any."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.searching.choice import Choice, check_preference, comparisons, mean_figures
from kgrow.searching.objective import Accuracy, Mixed
from kgrow.searching.trial import Trial

ACCURACIES = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=9)


def trial(index, accuracy, loss=None, kept=100, flash=1000):
    return Trial(
        trial=f"{index:04d}",
        keep_ratios=(0.5,),
        values={},
        status="done",
        val_accuracy=accuracy,
        objective=accuracy,
        prunable_params=kept,
        kept_params=kept,
        macs=1,
        flash_bytes=flash,
        ram_bytes=1,
        epochs=9,
        mean_val_accuracy=accuracy,
        mean_val_loss=loss,
    )


def epoch(number, accuracy, loss, is_best=False):
    figures = {"val_accuracy": [0.0, accuracy], "val_loss": [9.0, loss]}
    return {"event": "epoch", "epoch": number, "is_best": is_best, **figures}


# 177 256 connections with 55.6 % of 45 validation images, 1 612 connections with 51.1 %.
LARGE, TINY = trial(0, 25 / 45, 0.71, 177_256, 250_000), trial(1, 23 / 45, 0.69, 1_612, 9_000)


def test_the_smallest_of_what_one_standard_error_cannot_tell_apart_wins_if_it_is_preferred():
    assert Choice("small", 45).order({0: LARGE, 1: TINY}) == [1, 0]
    assert Choice("small", 4_500).order({0: LARGE, 1: TINY}) == [0, 1]  # there the difference is more than chance


def test_validation_loss_decides_between_what_accuracy_cannot_tell_apart():
    assert Choice("accurate", 45).order({0: LARGE, 1: TINY}) == [1, 0]
    better = trial(0, 25 / 45, 0.60, 177_256, 250_000)
    assert Choice("accurate", 45).order({0: better, 1: TINY}) == [0, 1]
    assert Choice("accurate", 4_500).order({0: LARGE, 1: TINY}) == [0, 1]


def test_among_files_of_one_size_the_fewest_connections_are_the_smallest():
    trials = {0: trial(0, 0.9, kept=90), 1: trial(1, 0.9, kept=80), 2: trial(2, 0.5, kept=10)}
    assert Choice("small", 1_000).order(trials) == [1, 0, 2]


def test_objective_that_counts_energy_decides_alone():
    trials = {0: trial(0, 0.80, loss=0.9), 1: trial(1, 0.79, loss=0.1)}
    assert Choice("accurate", 10, counts_energy=True).order(trials) == [0, 1]
    check_preference("small", Accuracy())
    with pytest.raises(ValueError, match="`prefer` must be 'accurate' with an objective that counts energy, but got"):
        check_preference("small", Mixed(0.5))


@given(figures=ACCURACIES, prefer=st.sampled_from(["accurate", "small"]), num_seen=st.integers(1, 9))
def test_what_is_kept_of_the_first_trials_suffices_whatever_comes_later(figures, prefer, num_seen):
    trials = {i: trial(i, it[0] / 20, it[1] / 4, kept=it[2], flash=it[1]) for i, it in enumerate(figures)}
    choice = Choice(prefer, 20)
    kept = choice.promising(dict(itertools.islice(trials.items(), num_seen)), 3)
    later = set(range(num_seen, len(trials)))
    assert set(choice.order(trials)[:3]) <= kept | later


def test_means_are_over_the_last_epochs_of_the_final_structure_up_to_the_checkpoint():
    early = [epoch(0, 0.9, 0.1, is_best=True), {"event": "pruned", "epoch": 1}]
    later = [epoch(number, 0.5 + number / 100, number, is_best=number == 11) for number in range(1, 14)]
    assert mean_figures([*early, *later], first_epoch=1) == (pytest.approx(0.59), pytest.approx(9.0))
    assert mean_figures([*early, *later[:2]], first_epoch=1) is None
    assert mean_figures([epoch(0, 0.2, 3.0), epoch(1, 0.6, 1.0, is_best=True)], 0) == (0.6, 1.0)  # the later half


def test_networks_are_compared_image_by_image_where_their_answers_are_at_hand():
    right = np.arange(45) < 25
    same_but_two = right.copy()
    same_but_two[23:25] = False
    opposite = ~right
    rivals = [TINY, trial(2, 20 / 45), trial(3, 24 / 45), trial(4, 0.01)]
    answers = {"0000": right, "0001": same_but_two, "0002": opposite & (np.arange(45) < 28)}
    found = comparisons(LARGE, rivals, answers, num_validation=45)
    assert [it["trial"] for it in found] == ["0001", "0002", "0003", "0004"]
    assert [it["told_apart"] for it in found] == [False, True, False, True]
    assert [it["p_value"] is None for it in found] == [False, False, True, True]
    assert found[0]["difference"] == pytest.approx(2 / 45)
    assert found[0]["p_value"] == pytest.approx(0.5)  # two heads of two coins
