"""What a format can express is known before anything is trained."""

import dataclasses

import numpy as np
import pytest

from kgrow._keras import keras, tf
from kgrow.exporting.untrained import check_expressible
from kgrow.graph import Architecture, Block, Node, Operator
from kgrow.testing import samples


class Logarithm(keras.layers.Layer):
    def call(self, features):
        return tf.math.digamma(tf.abs(features) + 1.0)


@dataclasses.dataclass(frozen=True)
class Digamma(Operator):
    """An operator for which TensorFlow Lite has no operation."""

    kind = "digamma"

    def output_shape(self, *inputs):
        return inputs[0]

    def layer(self, name, seed):
        return Logarithm(name=name)

    def constants(self, inputs, weights, shapes):
        return np.full_like(inputs[0], np.nan)


class Doubled(keras.layers.Layer):
    def call(self, features):
        return features + features


@dataclasses.dataclass(frozen=True)
class Double(Digamma):
    """An operator that every format has operations for."""

    kind = "double"

    def layer(self, name, seed):
        return Doubled(name=name)


def with_operator(operator):
    """Returns the tiny architecture with one more node at its end."""
    tiny = samples.tiny_architecture()
    last = tiny.blocks[-1]
    node = Node("block_1/added", operator, (last.nodes[-1].name,))
    moved = {last.nodes[-1].name: node.name}
    head = tuple(dataclasses.replace(n, inputs=tuple(moved.get(i, i) for i in n.inputs)) for n in last.head)
    blocks = (*tiny.blocks[:-1], Block((*last.nodes, node), head))
    return Architecture(tiny.input_shape, tiny.num_classes, tiny.scaling, blocks)


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_operator_that_a_format_lacks_is_named_before_training(tiny_task, quantization):
    with pytest.raises(ValueError, match=f"{quantization} cannot convert the operator 'digamma' .*Digamma"):
        check_expressible(tiny_task, quantization, with_operator(Digamma()))


def test_operators_that_formats_have_are_no_obstacle(tiny_task):
    check_expressible(tiny_task, "int8", with_operator(Double()))
    check_expressible(tiny_task, "int8", samples.tiny_architecture())
