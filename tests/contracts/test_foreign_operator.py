"""Operators of other packages that break their contract are named with their package."""

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow._plugins import PluginError
from kgrow.graph import Architecture, Block, Node, Scaling
from kgrow.graph.device import device_steps
from kgrow.graph.image_size import at_image_size
from kgrow.graph.operators import BatchNorm, Conv, Dense, GlobalAveragePool
from kgrow.graph.removal import remove_dead
from kgrow.graph.values import Weighted, constants_of
from kgrow.network import GrowingNetwork
from kgrow.pruning.bayes_models import KernelModel
from kgrow.registry import OPERATORS

MODULE = """
import dataclasses
import numpy as np
from kgrow._keras import keras
from kgrow.graph import Operator
from kgrow.graph.operators import Conv
from kgrow.graph.operators.operator import Part


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
    makes_channels = True

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


class Unaligned(Plain):
    kind = "unaligned"

    def aligned(self, inputs, shapes):
        return [inputs[0][1:]]


class Unlowered(Plain):
    kind = "unlowered"

    def lowered(self, weights, shapes):
        return [None]


class Lower(Plain):
    kind = "lower"

    def lowered(self, weights, shapes):
        return [Part(Conv(filters=1), (-1,))]


class Ranged(Plain):
    kind = "ranged"

    @property
    def value_range(self):
        raise RuntimeError("no range")


class Resized(Plain):
    kind = "resized"

    def with_channels(self, channels):
        return Conv(filters=9)


class Sided(Conv):
    kind = "sided"

    def sides(self, read, made, outside):
        return made


class Unread(Plain):
    kind = "unread"

    def reads(self, wanted, weights, shapes):
        return wanted


class Carrying(Conv):
    kind = "carrying"

    def carried(self, constants, weights):
        return constants == 0, np.zeros(3)


class Folding(Conv):
    kind = "folding"

    def folded(self, weights, scale, offset):
        return {"kernel": scale}


class Squaring(Conv):
    kind = "squaring"

    def kernel_squares(self, inputs, gradient):
        raise RuntimeError("no squares")


class Tapless(Conv):
    kind = "tapless"

    def without_taps(self, weights):
        return self, {"kernel": weights["kernel"][0]}


class Refusing(Plain):
    kind = "refusing"

    def output_shape(self, *inputs):
        raise ValueError("it reads no such map.")
"""
KINDS = (
    *("unbuilt", "functional", "failing", "wider", "unshaped", "shapeless", "inconstant", "fewer", "refusing"),
    *("unsized", "uncounted", "unaligned", "unlowered", "lower", "ranged", "resized", "sided"),
    *("unread", "carrying", "folding", "squaring", "tapless"),
)
POINTS = "[kgrow.operators]\n" + "\n".join(f"{kind} = plugged:{kind.capitalize()}" for kind in KINDS)


@pytest.fixture
def built(plug_in):
    """Returns what makes an architecture with an operator of another package."""
    plug_in(MODULE, POINTS)

    def build(kind):
        nodes = (
            *(Node("conv", Conv((3, 3), filters=4), ("image",)), Node("own", OPERATORS[kind](), ("conv",))),
            Node("norm", BatchNorm(), ("own",)),
        )
        head = (Node("pool", GlobalAveragePool(), ("norm",)), Node("logits", Dense(3), ("pool",)))
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
        ("fewer", r"must give \(4,\) as shapes of what `constants` returns, but gives \(1,\)"),
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


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("unaligned", r"must give \(4,\) as shapes of what `aligned` returns, but gives \(3,\)"),
        ("sided", r"must give \(4,\), \(1,\) as shapes of what `sides` returns, but gives array"),
        ("unlowered", r"must give a list of `Part` in `lowered`, but gives \[None\]"),
        ("lower", r"must be lowered to parts that give \(8, 8, 4\), but they give \(8, 8, 1\)"),
        ("resized", "must keep its shape in `with_channels` if nothing changes, but gives Conv"),
        ("ranged", "raised RuntimeError: no range"),
    ],
)
def test_operator_is_tried_without_weights_when_the_network_is_described(kind, problem, built):
    with pytest.raises(PluginError, match=problem) as error:
        built(kind)
    assert is_named(error, kind)


def removed(network):
    return remove_dead(Weighted.of(network.architecture, network.state()), (0,))


def folded(network):
    return device_steps(network.architecture, network.state())


def squared(network):
    model = KernelModel(network)
    with tf.GradientTape() as tape:
        run = model.run(tf.zeros((2, 8, 8, 3)))
        loss = tf.reduce_sum(run.outputs[0])
    probe = run.probes[1]
    return probe.squares(tape.gradient(loss, probe.tensor))


@pytest.mark.parametrize(
    ("kind", "problem", "use"),
    [
        ("unread", r"must give \(4,\) as shapes of what `reads` returns, but gives array", removed),
        (
            "carrying",
            r"must give \(4,\), \(1,\) as shapes of what `carried` returns, but gives \(4,\), \(3,\)",
            removed,
        ),
        ("tapless", r"must give \(1, 1, 4, 1\) as shapes of what `without_taps` returns, but gives", removed),
        ("folding", r"must give \(1, 1, 4, 1\) as shapes of what `folded` returns, but gives \(1,\)", folded),
        ("squaring", "raised RuntimeError: no squares", squared),
    ],
)
def test_operator_that_misleads_a_change_or_a_criterion_is_named_with_its_package(kind, problem, use, built):
    network = GrowingNetwork(built(kind))
    with pytest.raises(PluginError, match=problem) as error:
        use(network)
    assert is_named(error, kind)


def test_operator_may_refuse_what_it_cannot_read(built):
    with pytest.raises(ValueError, match=r"Node own cannot be: it reads no such map\.") as error:
        built("refusing")
    assert not isinstance(error.value, PluginError)
