"""Initializers of kernels."""

from __future__ import annotations

from kgrow.graph.operators._tensorflow import keras


def he_normal(seed: int) -> keras.initializers.Initializer:
    """Returns the initializer of a kernel before ReLUs: normal, variance 2 / fan_out (He et al. 2015, backward form).

    Keras counts all channels of a depthwise kernel as inputs of each, and one as its output: fan_out is the window.
    """
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=seed)


def uniform_fan_in(seed: int) -> keras.initializers.Initializer:
    """Returns the initializer of a head's kernel: U(-1, 1) / sqrt(fan_in), as in the code of Shallow-Deep Networks.

    Glorot's range is more than twice as wide: the first steps of a new head then disturb the blocks before it.
    """
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)
