"""What every search space owes."""

import abc
import importlib
import inspect
import pkgutil

import pytest

from kgrow import searching
from kgrow._keras import keras
from kgrow.registry import SPACES
from kgrow.searching import SearchSpace
from kgrow.searching.pretrained import Pretrained
from kgrow.testing import SpaceContract


class TestSpaces(SpaceContract):
    @pytest.fixture(scope="class", params=SPACES.own)
    @classmethod
    def subject(cls, request, tmp_path_factory):
        if request.param != "pretrained":
            return SPACES[request.param]
        path = tmp_path_factory.mktemp("weights") / "mobilenet.h5"
        model = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
        model.save_weights(path)
        return Pretrained("mobilenet_v1_0.25", str(path))


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
