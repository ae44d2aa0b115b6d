"""`DensityNetwork`: the Keras model of a `Layout`, its masks assigned once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow._tfmot import Kernel, apply_masks, assign_masks, prunable, strip
from kgrow.architecture import Scaling
from kgrow.density.layout import Layout
from kgrow.density.masks import random_mask


class DensityNetwork:
    """A fully connected classifier whose layers read random inputs, with ReLU between them.

    A unit reads d I of I inputs on average, so weights are drawn with variance 2 / (d I): with the variance of a full
    layer the signal would shrink by the density at every layer.

    Args:
        layout: What to build.
        input_shape: (height, width, channels) of raw images.
        scaling: Of raw pixels.
        seed: Of the weights.
        mask_seed: Of the masks; layers draw from streams of their own.

    References:
        He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", ICCV 2015, https://arxiv.org/abs/1502.01852.
    """

    def __init__(
        self, layout: Layout, input_shape: tuple[int, int, int], scaling: Scaling, *, seed: int, mask_seed: int
    ):
        if layout.sizes[0] != math.prod(input_shape):
            raise ValueError(
                f"`layout` must read the {math.prod(input_shape)} values of an image of {input_shape}, but reads "
                f"{layout.sizes[0]}."
            )
        self.layout, self._input_shape, self._scaling = layout, input_shape, scaling
        last = len(layout.shapes) - 1
        self.layers = [
            prunable(keras.layers.Dense(outputs, "relu" if index < last else None, name=f"layer_{index}"))
            for index, (_, outputs) in enumerate(layout.shapes)
        ]
        self.model = keras.Sequential([*self._reading(), *self.layers])
        self.kernels = [Kernel(f"layer_{index}", layer) for index, layer in enumerate(self.layers)]
        for index, kernel in enumerate(self.kernels):
            kernel.weight.assign(self._initial(index, np.random.default_rng((seed, index))))
        assign_masks(self.kernels, [self._mask(index, mask_seed) for index in range(len(self.kernels))])

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Maps raw pixels (batch, height, width, channels), float32, to logits (batch, num_classes)."""
        return self.model(images, training=training)

    @property
    def active_params(self) -> int:
        """The number of connections that the masks hold."""
        return sum(kernel.kept for kernel in self.kernels)

    def apply_masks(self) -> None:
        """Zeroes what does not exist, as an optimizer step may have moved it."""
        apply_masks(self.kernels)

    def state(self) -> dict[str, np.ndarray]:
        """Returns the weights by name."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Assigns what `state` returned."""
        for name, variable in self._variables().items():
            variable.assign(state[name])

    def plain(self) -> keras.Model:
        """Returns a Keras model of stock layers that shares the weights; what does not exist is exactly zero."""
        return keras.Sequential([*self._reading(), *map(strip, self.layers)], name="density_network")

    def _reading(self) -> list[Any]:
        mean, std = np.array(self._scaling.mean), np.array(self._scaling.std)
        return [
            keras.Input(self._input_shape, name="image"),
            keras.layers.Rescaling((1 / std).tolist(), (-mean / std).tolist(), name="scale"),
            keras.layers.Flatten(name="flatten"),
        ]

    def _initial(self, index: int, generator: np.random.Generator) -> np.ndarray:
        (_, outputs), count = self.layout.shapes[index], self.layout.connections[index]
        values = generator.normal(0.0, math.sqrt(2 * outputs / count), self.layout.shapes[index])
        return values.astype(np.float32)

    def _mask(self, index: int, seed: int) -> np.ndarray:
        generator = np.random.default_rng((seed, index))
        return random_mask(self.layout.shapes[index], self.layout.connections[index], generator, index > 0)

    def _variables(self) -> dict[str, tf.Variable]:
        named = {f"{kernel.name}/kernel": kernel.weight for kernel in self.kernels}
        return named | {f"{kernel.name}/bias": kernel.layer.layer.bias for kernel in self.kernels}
