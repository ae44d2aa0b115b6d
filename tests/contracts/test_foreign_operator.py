"""Operators of other packages that break their contract are named with their package."""

import numpy as np
import pytest

from kgrow._plugins import PluginError
from kgrow.graph import Architecture, Block, Node, Scaling
from kgrow.graph.image_size import at_image_size
from kgrow.graph.operators import Conv, Dense, GlobalAveragePool
from kgrow.graph.values import Weighted, constants_of
from kgrow.network import GrowingNetwork
from kgrow.registry import OPERATORS

MODULE = """
import dataclasses
from kgrow._keras import keras
from kgrow.graph import Operator


class Plain(Operator):
    def output_shape(self, *inputs):
        return inputs[0]

    def layer(self, name, seed):
        return keras.layers.Activation("relu", name=name)

    def constants(self, inputs, weights, shapes):
        return inputs[0]


class Unbuilt(Plain):
    kind = "unbuilt"

    def layer(self, name, seed):
        raise RuntimeError("no layer")


class Functional(Plain):
    kind = "functional"

    def layer(self, name, seed):
        return lambda features, training: features


class Failing(Plain):
    kind = "failing"

    def layer(self, name, seed):
        return keras.layers.Reshape((7,), name=name)


class Wider(Plain):
    kind = "wider"

    def output_shape(self, *inputs):
        return (*inputs[0][:-1], inputs[0][-1] + 1)


class Unshaped(Plain):
    kind = "unshaped"

    def output_shape(self, *inputs):
        raise KeyError("no shape")


class Shapeless(Plain):
    kind = "shapeless"

    def output_shape(self, *inputs):
        return None


class Inconstant(Plain):
    kind = "inconstant"

    def constants(self, inputs, weights, shapes):
        raise RuntimeError("no constants")


class Fewer(Plain):
    kind = "fewer"

    def constants(self, inputs, weights, shapes):
        return inputs[0][:1]


class Unsized(Plain):
    kind = "unsized"

    def at_size(self, before, after):
        raise RuntimeError("no size")


class Uncounted(Plain):
    kind = "uncounted"

    def num_weights(self, *inputs):
        raise RuntimeError("no count")


class Refusing(Plain):
    kind = "refusing"

    def output_shape(self, *inputs):
        raise ValueError("it reads no such map.")
"""
KINDS = (
    *("unbuilt", "functional", "failing", "wider", "unshaped", "shapeless", "inconstant", "fewer", "refusing"),
    *("unsized", "uncounted"),
)
POINTS = "[kgrow.operators]\n" + "\n".join(f"{kind} = plugged:{kind.capitalize()}" for kind in KINDS)


@pytest.fixture
def built(plug_in):
    """Returns what makes an architecture with an operator of another package."""
    plug_in(MODULE, POINTS)

    def build(kind):
        nodes = (Node("conv", Conv((3, 3), filters=4), ("image",)), Node("own", OPERATORS[kind](), ("conv",)))
        head = (Node("pool", GlobalAveragePool(), ("own",)), Node("logits", Dense(3), ("pool",)))
        return Architecture((8, 8, 3), 3, Scaling((0.0,) * 3, (1.0,) * 3), (Block(nodes, head),))

    return build


def is_named(error, kind):
    entry = f"`kgrow.operators: {kind} = plugged:{kind.capitalize()}` of the package 'plugged 1.5'"
    return f"`{kind.capitalize()}` of the entry point {entry}" in str(error.value)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("unbuilt", "raised RuntimeError: no layer"),
        ("functional", "must give a layer of tf_keras, but gives <function"),
        ("failing", "raised .*Error"),
        ("wider", r"must compute what `output_shape` promises, \(8, 8, 5\) at 'own', but computes \(8, 8, 4\)"),
        ("unshaped", "raised KeyError: 'no shape'"),
        ("shapeless", r"must give tuples of integers as shapes, but gives None"),
    ],
)
def test_operator_that_cannot_be_built_as_it_promises_is_named_with_its_package(kind, problem, built):
    with pytest.raises(PluginError, match=problem) as error:
        GrowingNetwork(built(kind))
    assert is_named(error, kind)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("inconstant", "raised RuntimeError: no constants"),
        ("fewer", "must give a constant or NaN for each of the 4 channels of 'own', but gives array"),
    ],
)
def test_operator_whose_constants_are_wrong_is_named_with_its_package(kind, problem, built):
    architecture = built(kind)
    state = {"conv/kernel": np.zeros((3, 3, 3, 4)), "conv/mask": np.zeros((3, 3, 3, 4))}
    with pytest.raises(PluginError, match=problem) as error:
        constants_of(Weighted.of(architecture, state))
    assert is_named(error, kind)


@pytest.mark.parametrize(
    ("kind", "problem", "use"),
    [
        ("unsized", "raised RuntimeError: no size", lambda architecture: at_image_size(architecture, (6, 6))),
        ("uncounted", "raised RuntimeError: no count", Architecture.params),
    ],
)
def test_operator_that_raises_while_it_is_counted_or_resized_is_named_with_its_package(kind, problem, use, built):
    with pytest.raises(PluginError, match=problem) as error:
        use(built(kind))
    assert is_named(error, kind)


def test_operator_may_refuse_what_it_cannot_read(built):
    with pytest.raises(ValueError, match=r"Node own cannot be: it reads no such map\.") as error:
        built("refusing")
    assert not isinstance(error.value, PluginError)
