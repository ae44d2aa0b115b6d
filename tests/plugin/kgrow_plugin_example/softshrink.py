"""An operator: soft shrinkage."""

import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras as keras

from kgrow.graph import Operator


class _Shrinking(keras.layers.Layer):
    def __init__(self, size, name):
        super().__init__(name=name)
        self.size = size

    def call(self, features):
        return tf.nn.relu(features - self.size) - tf.nn.relu(-features - self.size)


@dataclasses.dataclass(frozen=True)
class SoftShrink(Operator):
    """Moves every value towards zero by `size`, and no further.

    Args:
        size: Distance, at least 0.
    """

    kind = "soft_shrink"

    size: float = 0.5

    def output_shape(self, *inputs):
        return inputs[0]

    def layer(self, name, seed):
        return _Shrinking(self.size, name)

    def constants(self, inputs, weights, shapes):
        return np.sign(inputs[0]) * np.maximum(np.abs(inputs[0]) - self.size, 0.0)
