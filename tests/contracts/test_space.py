"""What every search space owes."""

import abc
import importlib
import inspect
import pkgutil

import pytest

from kgrow import searching
from kgrow.registry import SPACES
from kgrow.searching import SearchSpace
from kgrow.testing import SpaceContract


class TestSpaces(SpaceContract):
    @pytest.fixture(scope="class", params=SPACES.own)
    @classmethod
    def subject(cls, request):
        return SPACES[request.param]


def test_every_space_of_the_package_has_a_name_in_the_table():
    names = [found.name for found in pkgutil.iter_modules(searching.__path__) if not found.name.startswith("ray_")]
    modules = [importlib.import_module(f"kgrow.searching.{name}") for name in names]  # Ray need not be installed
    classes = {
        c
        for m in modules
        for _, c in inspect.getmembers(m, lambda it: type(it) is abc.ABCMeta)
        if issubclass(c, SearchSpace)
    }
    assert {type(space) for space in map(SPACES.__getitem__, SPACES.own)} == {
        c for c in classes if not inspect.isabstract(c)
    }
