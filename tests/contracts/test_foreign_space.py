"""Search spaces of other packages that break their contract are named with their package."""

import numpy as np
import pytest

from kgrow._plugins import PluginError
from kgrow.registry import SPACES
from kgrow.searching.limits import Limits
from kgrow.searching.proposals import Proposals
from kgrow.searching.space import started_by

MODULE = """
import dataclasses

import numpy as np
from kgrow.registry import SPACES
from kgrow.searching import SearchSpace


class Plain(SearchSpace):
    def build(self, input_shape, num_classes, scaling=None, *, width=1.0, **choices):
        return SPACES["compact"].build(input_shape, num_classes, scaling, width=width)


class Widthless(Plain):
    widths = ()


class Widening(Plain):
    widths = (0.5, 1.0)


class Choiceless(Plain):
    def choices(self, input_shape):
        return None


class Single(Plain):
    def choices(self, input_shape):
        return {"kernel": 3}


class Textual(Plain):
    def choices(self, input_shape):
        return {"kernel": "3"}


class Undecided(Plain):
    def choices(self, input_shape):
        return {"kernel": ()}


class Blockless(Plain):
    def build(self, input_shape, num_classes, scaling=None, *, width=1.0, **choices):
        return dataclasses.replace(super().build(input_shape, num_classes, scaling), blocks=())


class Nothing(Plain):
    def initial(self, architecture, images):
        return None


class Ragged(Plain):
    def initial(self, architecture, images):
        return {architecture.kernels()[0].name + "/kernel": [[1.0], [1.0, 2.0]]}


class Biased(Plain):
    def initial(self, architecture, images):
        name = architecture.blocks[0].head[-1].name
        return {f"{name}/bias": np.zeros(architecture.num_classes + self.more, np.float32)}

    more = 1


class Fitting(Biased):
    more = 0


class Unknown(Plain):
    def initial(self, architecture, images):
        return {architecture.kernels()[0].name + "/depth": np.zeros(3, np.float32)}
"""
NAMES = (
    *("widthless", "widening", "choiceless", "single", "textual", "undecided", "blockless"),
    *("nothing", "ragged", "biased", "fitting", "unknown"),
)
POINTS = "[kgrow.spaces]\n" + "\n".join(f"{name} = plugged:{name.capitalize()}" for name in NAMES)


@pytest.fixture(autouse=True)
def _plugged(plug_in):
    plug_in(MODULE, POINTS)


def is_named(error, name):
    entry = f"`kgrow.spaces: {name} = plugged:{name.capitalize()}` of the package 'plugged 1.5'"
    return f"`{name.capitalize()}` of the entry point {entry}" in str(error.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("widthless", r"must have `widths` that decrease from 1, but has \(\)"),
        ("widening", r"must have `widths` that decrease from 1, but has \(0\.5, 1\.0\)"),
        ("choiceless", "must give its choices by name, but gives None"),
        ("single", "must give a sequence of values to choose 'kernel' from, but gives 3"),
        ("textual", "must give a sequence of values to choose 'kernel' from, but gives '3'"),
        ("undecided", r"must give a sequence of values to choose 'kernel' from, but gives \(\)"),
        ("blockless", "must build at least one block, but builds none"),
    ],
)
def test_space_that_offers_what_is_none_is_named_with_its_package(name, problem, tiny_task):
    with pytest.raises(PluginError, match=problem) as error:
        Proposals(SPACES[name], tiny_task, limits=Limits())
    assert is_named(error, name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nothing", "must give initial values by name, but gives None"),
        ("ragged", "raised ValueError"),
        ("biased", r"must give finite float32 values of the shape \(10,\) for '.*/bias', but gives .*\(11,\)"),
        ("unknown", "must give values of variables of the network, but gives one of '.*/depth'"),
    ],
)
def test_space_whose_initial_values_do_not_fit_is_named_with_its_package(name, problem):
    space = SPACES[name]
    with pytest.raises(PluginError, match=problem) as error:
        started_by(space, space.build((8, 8, 3), 10), np.zeros((4, 8, 8, 3), np.uint8))
    assert is_named(error, name)


def test_initial_values_may_be_of_any_variable():
    space = SPACES["fitting"]
    ((name, value),) = started_by(space, space.build((8, 8, 3), 10), np.zeros((4, 8, 8, 3), np.uint8)).items()
    assert name.endswith("/bias")
    assert value.shape == (10,)
