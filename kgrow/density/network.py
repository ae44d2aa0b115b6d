"""`density_network`: the network of a `Layout` with fixed masks."""

from __future__ import annotations

import math

import numpy as np

from kgrow._tfmot import assign_masks
from kgrow.density.layout import Layout
from kgrow.density.masks import random_mask
from kgrow.graph import Architecture, Scaling
from kgrow.graph.chain import chain
from kgrow.network import GrowingNetwork


def density_architecture(layout: Layout, input_shape: tuple[int, int, int], scaling: Scaling) -> Architecture:
    """Returns the architecture of a layout: fully connected layers with ReLU between them.

    Args:
        layout: Layout to build.
        input_shape: (height, width, channels) of raw images.
        scaling: Scaling of raw pixels inside the network.

    Raises:
        ValueError: If the layout has another number of inputs.
    """
    if layout.sizes[0] != math.prod(input_shape):
        raise ValueError(
            f"`layout` must read the {math.prod(input_shape)} values of an image of {input_shape}, but reads "
            f"{layout.sizes[0]}."
        )
    return chain(input_shape, (), layout.sizes[1:], scaling)


def density_network(
    layout: Layout, input_shape: tuple[int, int, int], scaling: Scaling, *, seed: int, mask_seed: int
) -> GrowingNetwork:
    """Returns a fully connected classifier whose layers read random inputs.

    A unit reads d I of I inputs on average, so weights are drawn with variance 2 / (d I). With the variance of a full
    layer the signal would shrink by the density at every layer.

    Args:
        layout: Layout to build.
        input_shape: (height, width, channels) of raw images.
        scaling: Scaling of raw pixels inside the network.
        seed: Random seed of the weights.
        mask_seed: Random seed of the masks; each layer has its own stream.

    References:
        He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", ICCV 2015, https://arxiv.org/abs/1502.01852.
    """
    network = GrowingNetwork(density_architecture(layout, input_shape, scaling), seed=seed)
    kernels, masks = network.kernels(), []
    for index, (kernel, shape, count) in enumerate(zip(kernels, layout.shapes, layout.connections, strict=True)):
        values = np.random.default_rng((seed, index)).normal(0.0, math.sqrt(2 * shape[1] / count), shape)
        kernel.weight.assign(values.astype(np.float32))
        masks.append(random_mask(shape, count, np.random.default_rng((mask_seed, index)), index > 0))
    assign_masks(kernels, masks)
    return network
