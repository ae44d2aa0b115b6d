"""What every criterion owes, over all of them."""

import inspect

import pytest

import kgrow.pruning
from kgrow.pruning import Criterion
from kgrow.registry import CRITERIA
from kgrow.testing import CriterionContract

MADE = {name: CRITERIA[name](5) for name in CRITERIA.own}


class TestCriteria(CriterionContract):
    @pytest.fixture(scope="class", params=CRITERIA.own)
    @classmethod
    def subject(cls, request):
        return CRITERIA[request.param](5)


def test_every_exported_criterion_has_a_name_in_the_table():
    exported = [getattr(kgrow.pruning, name) for name in kgrow.pruning.__all__]
    classes = {c for c in exported if inspect.isclass(c) and issubclass(c, Criterion)}
    assert {type(criterion) for criterion in MADE.values()} == classes - {Criterion}


def test_no_criterion_is_made_from_another():
    for criterion in MADE.values():
        kinds = [kind for kind in type(criterion).__mro__ if issubclass(kind, Criterion)]
        assert kinds == [type(criterion), Criterion]


@pytest.mark.parametrize("name", CRITERIA.own)
def test_text_of_a_criterion_makes_it_again(name):
    assert MADE[name] == CRITERIA[name](5)
    assert eval(repr(MADE[name]), vars(kgrow.pruning) | vars(kgrow.bayes)) == MADE[name]
