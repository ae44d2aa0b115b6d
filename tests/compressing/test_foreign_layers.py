"""Layers that operators of other packages read, and packages that stand in the way of others."""

import importlib.util
import sys

import pytest

from kgrow._keras import keras
from kgrow._plugins import PluginError
from kgrow.compressing.reading import read
from kgrow.graph import keras_models
from kgrow.graph.operators import ReLU

L = keras.layers
pytestmark = pytest.mark.usefixtures("eagerly")
MODULE = """
import dataclasses

from kgrow._keras import keras, tf
from kgrow.graph import Operator


@keras.utils.register_keras_serializable("plugged")
class Shrinking(keras.layers.Layer):
    def call(self, features):
        return tf.nn.relu(features - 0.1) - tf.nn.relu(-features - 0.1)


@dataclasses.dataclass(frozen=True)
class Shrink(Operator):
    kind = "shrink"
    keras_layers = ("Shrinking",)

    def output_shape(self, *inputs):
        return inputs[0]

    def layer(self, name, seed):
        return Shrinking(name=name)


class Again(Shrink):
    kind = "again"


class Greedy(Shrink):
    kind = "greedy"
    keras_layers = ("ReLU",)


class Unread(Shrink):
    kind = "unread"

    @classmethod
    def from_keras(cls, config, inputs):
        raise KeyError("not read")
"""
PACKAGE = "of the package 'plugged 1.5'"


@pytest.fixture
def model(plug_in):
    """Returns what makes a model with a layer of one's own, where a package has some operators."""

    def make(*names):
        points = (f"{name} = {'nowhere' if name == 'gone' else 'plugged'}:{name.capitalize()}" for name in names)
        plug_in(MODULE, "\n".join(["[kgrow.operators]", *points]))
        own = importlib.import_module("plugged").Shrinking(name="own")
        first = [keras.Input((8, 8, 3)), L.Conv2D(4, 3), L.ReLU()]
        return keras.Sequential([*first, own, L.GlobalAveragePooling2D(), L.Dense(3)])

    return make


def test_layer_of_ones_own_is_read_by_the_operator_that_names_it(model, tiny_task):
    given = read(model("shrink", "gone"), tiny_task)
    assert "shrink" in [node.operator.kind for node in given.weighted.architecture.nodes]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("shrink", "again"), f"'Shrinking' must be read by one operator, but .* {PACKAGE} and .* {PACKAGE} claim it"),
        (("greedy",), f"`Greedy` of .* {PACKAGE} must leave the layers to kgrow that it reads itself, but .*'ReLU'"),
        (("unread",), f"`Unread` of .* {PACKAGE} raised KeyError: 'not read'"),
    ],
)
def test_operator_that_reads_no_layer_of_its_own_is_named_with_its_package(names, problem, model, tiny_task):
    with pytest.raises(PluginError, match=problem):
        read(model(*names), tiny_task)


def test_operator_that_cannot_be_loaded_is_named_only_where_a_layer_has_no_other(model, tiny_task):
    with pytest.raises(ValueError, match=rf"its layer 'own' is a Shrinking\. .*`kgrow\.operators: gone = .* {PACKAGE}"):
        read(model("gone"), tiny_task)
    read(keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 3), L.Flatten(), L.Dense(3)]), tiny_task)


def test_layers_of_kgrow_itself_are_read_without_loading_other_packages(plug_in, monkeypatch):
    plug_in(MODULE, "[kgrow.operators]\ngone = nowhere:Gone\nrelu = plugged:Greedy")
    spec = importlib.util.spec_from_file_location("imported_again", keras_models.__file__)
    again = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, again)
    spec.loader.exec_module(again)
    assert again.reader_of("ReLU") is ReLU
    assert "plugged" not in sys.modules
