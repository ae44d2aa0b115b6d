"""Sequential networks, such as LeNet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kgrow.graph.architecture import Architecture, Block
from kgrow.graph.builder import Builder
from kgrow.graph.node import IMAGE
from kgrow.graph.operators import Conv, Dense, Flatten, MaxPool
from kgrow.graph.scaling import Scaling


def chain(
    input_shape: tuple[int, int, int],
    convolutions: Sequence[tuple[int, int, int]],
    dense: Sequence[int],
    scaling: Scaling,
) -> Architecture:
    """Returns a classifier of convolutions and fully connected layers with biases, ReLU between them, and one head.

    Args:
        input_shape: Shape of raw images, (height, width, channels).
        convolutions: Number of filters, kernel side and side of the max pooling after it (1 for none) of each
            convolution, without padding.
        dense: Number of outputs of each fully connected layer; the last ones are the classes.
        scaling: Scaling of raw pixels inside the network.

    Example:
        >>> lenet = chain((28, 28, 1), [(20, 5, 2), (50, 5, 2)], [500, 10], Scaling((0.0,), (255.0,)))
        >>> lenet.params()
        431080
    """
    builder, source = Builder(input_shape), IMAGE
    for index, (filters, side, pool) in enumerate(convolutions):
        name = f"layer_{index}"
        source = builder.add(name, Conv((side, side), padding="valid", filters=filters, use_bias=True), source)
        source = builder.relu(f"{name}/relu", source)
        if pool > 1:
            source = builder.add(f"{name}/pool", MaxPool((pool, pool), (pool, pool), "valid"), source)
    source = builder.add("flatten", Flatten(), source)
    *hidden, classes = dense
    for index, units in enumerate(hidden, len(convolutions)):
        source = builder.relu(f"layer_{index}/relu", builder.add(f"layer_{index}", Dense(units), source))
    nodes = builder.take()
    builder.add(f"layer_{len(convolutions) + len(hidden)}", Dense(classes), source)
    return Architecture(input_shape, classes, scaling, (Block(nodes, builder.take()),))


def glorot_normal(architecture: Architecture, seed: int) -> dict[str, np.ndarray]:
    """Returns new kernels by variable name: normal, variance 2 / (fan_in + fan_out).

    Max pooling increases the values from layer to layer. With the variance for ReLU, 2 / fan_in, the first steps would
    move LeNet-5 so far that most of its second filters stay inactive.

    Args:
        architecture: Architecture of convolutions and fully connected layers.
        seed: Random seed of the weights.

    References:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
        equation 16.
    """
    generator, found = np.random.default_rng(seed), {}
    for kernel in architecture.kernels():
        *window, inputs, outputs = kernel.kernel_shape
        fans = math.prod(window) * (inputs + outputs)
        found[f"{kernel.name}/kernel"] = generator.normal(0, math.sqrt(2 / fans), kernel.kernel_shape).astype(
            np.float32
        )
    return found
