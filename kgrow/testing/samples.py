"""A task that is learned in seconds and networks that are built faster, shared by the contract tests and the tests.

All are made once; read them, and change only copies.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow.graph import Architecture, Cell, CellBlock, Head, Scaling, of_cells
from kgrow.graph.edge import Edge
from kgrow.task import Augmentation, Split, Task

if TYPE_CHECKING:
    from kgrow.lifecycle import Settings
    from kgrow.network import GrowingNetwork

VARIED_EDGES = (
    Edge(2, 0, "sep3"),
    Edge(2, 1, "max3"),
    Edge(3, 2, "identity"),
    Edge(3, 0, "avg3"),
    Edge(3, 1, "dil3"),
)
SCALING = Scaling((128.0, 128.0, 128.0), (64.0, 64.0, 64.0))


def bright_channels(num_images: int, seed: int) -> Split:
    """Returns images of noise whose brightest color channel is the class."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(num_images) % 3).astype(np.int32)
    images = generator.integers(0, 150, (num_images, 8, 8, 3))
    images[np.arange(num_images), :, :, labels] += 100
    return Split(images.astype(np.uint8), labels)


def noise(network: GrowingNetwork, num_images: int = 32, dtype: Any = np.uint8) -> np.ndarray:
    """Returns images that a network can read."""
    shape = (num_images, *network.architecture.input_shape)
    return np.random.default_rng(7).integers(0, 256, shape).astype(dtype)


@functools.cache
def tiny_task() -> Task:
    """Returns 48 + 24 + 24 images of 8x8x3 in three classes."""
    train, validation, test = (bright_channels(number, seed) for number, seed in ((48, 1), (24, 2), (24, 3)))
    return Task("tiny", train, validation, test, ("red", "green", "blue"))


@functools.cache
def tiny_architecture() -> Architecture:
    """Returns two blocks of one small convolution each, for tests that train."""
    return of_cells(
        (8, 8, 3),
        3,
        SCALING,
        (CellBlock((Cell("conv", 4, stride=2),), Head(2)), CellBlock((Cell("conv", 6, inputs=(0,)),), Head(1))),
    )


@functools.cache
def varied_architecture() -> Architecture:
    """Returns three blocks with every kind of cell, join and shortcut, for tests without training."""

    def residual(filters: int, **options: Any) -> Cell:
        return Cell("residual", filters, hidden_filters=3, **options)

    return of_cells(
        (8, 8, 3),
        3,
        SCALING,
        (
            CellBlock((Cell("conv", 4), residual(4, inputs=(0,), shortcut="identity")), Head(4)),
            CellBlock((residual(6, inputs=(0, 1), join="concat", stride=2, shortcut="projection"),), Head(2)),
            CellBlock(
                (
                    Cell("conv", 5, inputs=(0, 1, 2), join="add", kernel_size=1),
                    residual(4, inputs=(3,), stride=2, shortcut="none"),
                    Cell("graph", 6, inputs=(3, 4), hidden_filters=3, edges=VARIED_EDGES),
                ),
                Head(4),
            ),
        ),
    )


@functools.cache
def tiny_network() -> GrowingNetwork:
    """Returns a new network of the tiny architecture."""
    from kgrow.network import GrowingNetwork

    return GrowingNetwork(tiny_architecture(), seed=3)


@functools.cache
def varied_network() -> GrowingNetwork:
    """Returns a network with scales, offsets and statistics as after some training."""
    from kgrow.network import GrowingNetwork

    network = GrowingNetwork(varied_architecture(), seed=3)
    generator = np.random.default_rng(0)
    for name, variable in network.named_variables().items():
        if name.endswith(("gamma", "moving_variance")):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
        elif name.endswith(("beta", "bias", "moving_mean")):
            variable.assign(generator.normal(0, 0.2, variable.shape))
    spreads = (0.6, 3.0, 2.0)  # of the logits over images: each head is the most confident on some
    for block, logits, spread in zip(network.blocks, network.logits(noise(network)), spreads, strict=True):
        kernel = block.kernels()[-1].weight
        kernel.assign(spread / np.std(logits, axis=0).mean() * kernel)
    return network


@functools.cache
def _workbench() -> GrowingNetwork:
    return varied_network().copy()


def varied_copy() -> GrowingNetwork:
    """Returns a copy of `varied_network` that may be changed but not grown; the next call restores it."""
    _workbench().load_state(varied_network().state())
    return _workbench()


@functools.cache
def tiny_settings() -> Settings:
    """Returns six epochs: block 0 pruned before epoch 1, block 1 grown before epoch 2 and pruned before epoch 3."""
    from kgrow.lifecycle import Preset, Settings
    from kgrow.pruning import SNIP

    preset = Preset(
        epochs=6, batch_size=16, learning_rate=0.1, grow_epochs=(2,), prune_epochs=(1, 3), saliency_examples=40
    )
    return Settings(preset, SNIP(), augmentation=Augmentation(shift=1), seed=7)


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Returns the loss of `Criterion.saliency` with equal weights of all heads."""
    from kgrow._keras import tf

    losses = [tf.nn.sparse_softmax_cross_entropy_with_logits(labels, head) for head in logits]
    return tf.add_n([tf.reduce_mean(values) for values in losses])


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Runs traced functions as plain Python: for tests that build many networks and call each once or twice."""
    from kgrow._keras import tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
