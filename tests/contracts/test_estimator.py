"""What every estimator owes, over all of them."""

import inspect

import pytest

import kgrow.searching.estimating as estimating
from kgrow.registry import ESTIMATORS, EXPERIMENTAL
from kgrow.searching.estimating import Estimator
from kgrow.testing import EstimatorContract

KNOWN = {**ESTIMATORS, **EXPERIMENTAL}


class TestEstimators(EstimatorContract):
    @pytest.fixture(scope="class", params=[*ESTIMATORS.own, *EXPERIMENTAL.own])
    @classmethod
    def subject(cls, request):
        return KNOWN[request.param]


def test_every_estimator_of_the_package_has_a_name_in_one_of_the_tables():
    classes = [value for _, value in inspect.getmembers(estimating, inspect.isclass)]
    kinds = {kind for kind in classes if issubclass(kind, Estimator)}
    assert {type(estimator) for estimator in KNOWN.values()} == kinds - {Estimator}
