"""How kernels start."""

from __future__ import annotations

from kgrow.graph.operators._tensorflow import keras


def he_normal(seed: int) -> keras.initializers.Initializer:
    """Returns what draws a kernel in front of ReLUs: normal, variance 2 / fan_out (He et al. 2015, the backward form).

    Of a depthwise kernel Keras takes all channels for inputs of each, and one for its outputs: fan_out is the window.
    """
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=seed)


def uniform_fan_in(seed: int) -> keras.initializers.Initializer:
    """Returns what draws the kernel of a head: U(-1, 1) / sqrt(fan_in), as in the code of Shallow-Deep Networks.

    Glorot's range is more than twice as wide: the first steps of a fresh head then shake the blocks before it.
    """
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)
