"""The Keras layer of `MixedPool`."""

from __future__ import annotations

from typing import Any

from kgrow._keras import keras, tf


class MixedPooling(keras.layers.Layer):
    """Max and average pooling, mixed by a trained scalar; see `kgrow.graph.operators.MixedPool`."""

    def __init__(self, window: tuple[int, int], strides: tuple[int, int], padding: str, seed: int, name: str):
        super().__init__(name=name)
        self.options = (window, strides, padding.upper())
        start = keras.initializers.RandomUniform(0.0, 1.0, seed=seed)
        self.mixing = self.add_weight("mixing", shape=(), initializer=start)

    def call(self, features: Any) -> Any:
        """Maps (batch, height, width, channels) to a map of as many channels."""
        largest, average = tf.nn.max_pool2d(features, *self.options), tf.nn.avg_pool2d(features, *self.options)
        return self.mixing * largest + (1.0 - self.mixing) * average
