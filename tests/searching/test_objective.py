"""Tests of objectives: their equations, and their values at the boundaries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.searching.objective import Accuracy, AccuracyConstraint, EnergyConstraint, Mixed, chosen_objective

FRACTIONS = st.floats(0, 1)


@given(accuracy=FRACTIONS, energy=FRACTIONS, alpha=FRACTIONS)
def test_mixed_trades_accuracy_for_energy(accuracy, energy, alpha):
    assert Mixed(alpha).reward(accuracy, energy) == pytest.approx(alpha * accuracy - (1 - alpha) * energy)
    assert Mixed(1.0).reward(accuracy, energy) == Accuracy().reward(accuracy, energy) == accuracy


def test_constraints_are_zero_at_their_boundary():
    assert EnergyConstraint(0.5).reward(0.9, 0.5) == 0.0
    assert EnergyConstraint(0.5).reward(0.9, 0.4999) == 0.9
    assert AccuracyConstraint(0.9).reward(0.9, 0.25) == 0.0
    assert AccuracyConstraint(0.9).reward(0.9001, 0.25) == 0.75


def test_smaller_networks_are_worth_more_unless_accuracy_alone_counts():
    for objective in (Accuracy(), Mixed(0.5), EnergyConstraint(0.5), AccuracyConstraint(0.5)):
        differs = any(objective.reward(a, 0.2) > objective.reward(a, 0.8) for a in (0.1, 0.9))
        assert objective.counts_energy == differs


def test_texts_name_objectives():
    assert chosen_objective("accuracy") == Accuracy()
    assert chosen_objective("mixed:0.9") == Mixed(0.9)
    assert chosen_objective("energy_constraint:0.5") == EnergyConstraint(0.5)
    assert chosen_objective("accuracy_constraint:0.98") == AccuracyConstraint(0.98)


@pytest.mark.parametrize("text", ["mixed", "mixed:x", "mixed:2", "accuracy:0.5"])
def test_missing_or_wrong_number_is_explained(text):
    with pytest.raises(ValueError, match=r"must be 'accuracy', or a name and a fraction such as 'mixed:0.9'"):
        chosen_objective(text)


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'accuracy'"):
        chosen_objective("acuracy")


def test_what_is_no_objective_is_refused_and_one_that_is_stays():
    with pytest.raises(ValueError, match="`objective` must be one of 'accuracy'"):
        chosen_objective(3)
    assert chosen_objective(Mixed(0.9)) == Mixed(0.9)
