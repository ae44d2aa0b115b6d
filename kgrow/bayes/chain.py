"""`Chain`: layers one after the other, such as LeNet, and what is left of them when weights are removed."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow.bayes.graph import Graph
from kgrow.bayes.linear_nodes import Bias, Conv, Dense
from kgrow.bayes.nodes import Activation, Node, Route


@dataclasses.dataclass(frozen=True, eq=False)
class ChainLayer:
    """A convolution (VALID padding) or a Dense layer with its bias.

    Args:
        kernel: Variable (height, width, channels, filters) or (inputs, outputs).
        bias: Variable (outputs,).
        pool: Side of the max pooling after it, 1 for none.
        reads: Which values of the flattened map before it a Dense layer reads, in order; None for all.
    """

    kernel: Any
    bias: Any
    pool: int = 1
    reads: np.ndarray | None = None

    @property
    def is_conv(self) -> bool:
        """Whether it is a convolution."""
        return len(self.kernel.shape) == 4


@dataclasses.dataclass(frozen=True)
class LayerSize:
    """What decides the cost of a layer; sides are (height, width), (1, 1) for a Dense layer.

    Args:
        inputs: Channels or values read.
        outputs: Filters or values made.
        kernel: Sides of the kernel.
        input_map: Sides of the map that it reads.
        output_map: Sides of the map that it makes, before pooling.
    """

    inputs: int
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    input_map: tuple[int, int] = (1, 1)
    output_map: tuple[int, int] = (1, 1)


class Chain:
    """A classifier of layers one after the other, with ReLU between them; it is `Compressible`.

    Args:
        input_shape: (height, width, channels).
        layers: Convolutions first; the last one makes the logits.
    """

    def __init__(self, input_shape: tuple[int, int, int], layers: Sequence[ChainLayer]):
        self.input_shape, self.layers = input_shape, tuple(layers)
        self.model = Graph(list(self._nodes()))
        self.kernels = [layer.kernel for layer in self.layers]
        self.trainable = [variable for layer in self.layers for variable in (layer.kernel, layer.bias)]
        self._masks = [tf.Variable(tf.ones_like(variable), trainable=False) for variable in self.trainable]

    @staticmethod
    def fresh(
        input_shape: tuple[int, int, int], convolutions: Sequence[tuple[int, int, int]], dense: Sequence[int], seed: int
    ) -> Chain:
        """Returns a chain with fresh weights: normal, variance 2 / (fan_in + fan_out), biases 0.

        Max pooling makes maps larger from layer to layer. With the variance for ReLU, 2 / fan_in, the first steps would
        move LeNet-5 so far that most of its second filters never answer again.

        Args:
            input_shape: (height, width, channels).
            convolutions: Filters, side of the kernel and side of the pooling of each.
            dense: Outputs of each Dense layer.
            seed: Of the weights.

        References:
            Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS
            2010, equation 16.
        """
        generator = np.random.default_rng(seed)

        def layer(*shape: int, pool: int = 1) -> ChainLayer:
            fans = math.prod(shape[:-2]) * (shape[-2] + shape[-1])
            kernel = generator.normal(0, math.sqrt(2 / fans), shape)
            return ChainLayer(tf.Variable(kernel.astype(np.float32)), tf.Variable(tf.zeros(shape[-1])), pool)

        layers = []
        height, width, channels = input_shape
        for filters, side, pool in convolutions:
            layers.append(layer(side, side, channels, filters, pool=pool))
            height, width, channels = (height - side + 1) // pool, (width - side + 1) // pool, filters
        layers += [layer(*sides) for sides in itertools.pairwise((height * width * channels, *dense))]
        return Chain(input_shape, layers)

    @property
    def variables(self) -> list[Any]:
        """See `Compressible.variables`."""
        return [*self.trainable, *self._masks]

    def __call__(self, images: Any) -> Any:
        """Returns logits (batch, classes)."""
        return self.model(images)[0]

    def outputs(self, images: Any) -> tuple[Any, ...]:
        """See `Compressible.outputs`."""
        return self.model(images)

    def _nodes(self) -> Iterator[Node]:
        for index, layer in enumerate(self.layers):
            if layer.is_conv:
                yield Conv(layer.kernel, (1, 1), "VALID")
            else:
                yield Route(_flattened(layer.reads))
                yield Dense(layer.kernel)
            yield Bias(layer.bias)
            if index < len(self.layers) - 1:
                yield Activation(tf.nn.relu)
            if layer.pool > 1:
                yield Route(_max_pool(layer.pool))

    def sizes(self) -> list[LayerSize]:
        """Returns the size of every layer."""
        found = []
        sides = self.input_shape[:2]
        for layer in self.layers:
            *kernel, inputs, outputs = (int(side) for side in layer.kernel.shape)
            if not layer.is_conv:
                found.append(LayerSize(inputs, outputs))
                continue
            made = (sides[0] - kernel[0] + 1, sides[1] - kernel[1] + 1)
            found.append(LayerSize(inputs, outputs, (kernel[0], kernel[1]), sides, made))
            sides = (made[0] // layer.pool, made[1] // layer.pool)
        return found

    def widths(self) -> list[int]:
        """Returns what a chain is called by: filters, then what the first Dense layer reads, then what each makes."""
        sizes = self.sizes()
        first = next((index for index, layer in enumerate(self.layers) if not layer.is_conv), len(sizes))
        inputs = [size.inputs for size in sizes[first : first + 1]]
        outputs = [size.outputs for size in sizes[:-1]]
        return [*outputs[:first], *inputs, *outputs[first:]]

    def connected(self, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `Compressible.connected`."""
        matrices: list[np.ndarray] = [_matrix(mask).copy() for mask in masks]
        for before, after, reads in self._joints(matrices):
            after &= np.tile(before.any(axis=0), reads.max() // len(before[0]) + 1)[reads][:, None]
        for before, after, reads in reversed(list(self._joints(matrices))):
            before &= np.isin(np.arange(len(before[0])), reads[after.any(axis=1)] % len(before[0]))
        return [mask & matrix for mask, matrix in zip(masks, matrices, strict=True)]

    def remove(self, masks: Sequence[np.ndarray]) -> None:
        """See `Compressible.remove`: the bias of a unit goes with its last weight, that of a class stays."""
        kept = []
        for index, mask in enumerate(masks):
            if not mask.any():
                raise ValueError(
                    f"`masks` must leave every layer a connected weight, but leave layer {index} none. Lower the "
                    "prices that are too high."
                )
            is_last = index == len(masks) - 1
            kept += [mask, np.ones(mask.shape[-1], bool) if is_last else _matrix(mask).any(axis=0)]
        for variable, values in zip(self._masks, kept, strict=True):
            variable.assign(values.astype(np.float32))
        self.apply_masks()

    def apply_masks(self) -> None:
        """See `Compressible.apply_masks`."""
        for variable, mask in zip(self.trainable, self._masks, strict=True):
            variable.assign(variable * mask)

    def _joints(self, matrices: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields neighbours, with the value of the flattened map that each row of the second one reads."""
        for (before, after), layer in zip(itertools.pairwise(matrices), self.layers[1:], strict=True):
            yield before, after, np.arange(len(after)) if layer.reads is None else layer.reads

    def narrowed(self, masks: Sequence[np.ndarray]) -> Chain:
        """Returns the chain without the units that `connected` masks leave without any weight; its logits are the same.

        Args:
            masks: As `connected` returns them. A unit that makes nothing must have a bias of 0.
        """
        layers = []
        channels = np.arange(self.input_shape[2])
        width = len(channels)
        for index, (layer, mask) in enumerate(zip(self.layers, masks, strict=True)):
            matrix = _matrix(mask)
            rows = channels if layer.is_conv else np.flatnonzero(matrix.any(axis=1))
            is_last = index == len(self.layers) - 1
            columns = np.arange(matrix.shape[1]) if is_last else np.flatnonzero(matrix.any(axis=0))
            kernel = (layer.kernel.numpy() * mask)[..., rows, :][..., columns]
            reads = (
                None
                if layer.is_conv
                else _renumbered(rows if layer.reads is None else layer.reads[rows], channels, width)
            )
            layers.append(ChainLayer(tf.Variable(kernel), tf.Variable(layer.bias.numpy()[columns]), layer.pool, reads))
            channels, width = columns, matrix.shape[1]
        return Chain(self.input_shape, layers)

    def to_keras(self, scale: float = 1.0, offset: float = 0.0) -> keras.Model:
        """Returns the chain as a plain Keras network, such as `kgrow.compress` fine-tunes and exports.

        What a Dense layer does not read of the map before it has weights of 0.

        Args:
            scale: Of pixels: the chain reads `scale * pixel + offset`.
            offset: Added to them.
        """
        network = keras.Sequential([keras.Input(self.input_shape), keras.layers.Rescaling(scale, offset)])
        for layer, size in zip(self.layers, self.sizes(), strict=True):
            activation = None if layer is self.layers[-1] else "relu"
            kernel = layer.kernel.numpy()
            if layer.is_conv:
                network.add(keras.layers.Conv2D(size.outputs, size.kernel, activation=activation))
            else:
                if len(network.output_shape) > 2:
                    network.add(keras.layers.Flatten())
                kernel = _with_unread(kernel, layer.reads, network.output_shape[-1])
                network.add(keras.layers.Dense(size.outputs, activation))
            network.layers[-1].set_weights([kernel, layer.bias.numpy()])
            if layer.pool > 1:
                network.add(keras.layers.MaxPooling2D(layer.pool))
        return network


def _with_unread(kernel: np.ndarray, reads: np.ndarray | None, num_values: int) -> np.ndarray:
    """Returns the kernel (num_values, outputs) over all values of a map, 0 for those that are not read."""
    whole = np.zeros((num_values, kernel.shape[1]), kernel.dtype)
    whole[slice(None) if reads is None else reads] = kernel
    return whole


def _matrix(mask: np.ndarray) -> np.ndarray:
    """Returns which inputs are read by which outputs, bool (inputs, outputs)."""
    return np.any(mask, axis=tuple(range(mask.ndim - 2)))


def _renumbered(reads: np.ndarray, channels: np.ndarray, width: int) -> np.ndarray:
    """Returns the places in a flattened map of some channels of the values that had places in that of all channels."""
    return reads // width * len(channels) + np.searchsorted(channels, reads % width)


def _flattened(reads: np.ndarray | None) -> Any:
    def flattened(features: Any) -> Any:
        flat = tf.reshape(features, (-1, math.prod(features.shape[1:])))
        return flat if reads is None else tf.gather(flat, reads, axis=1)

    return flattened


def _max_pool(side: int) -> Any:
    return lambda features: tf.nn.max_pool2d(features, side, side, "VALID")
