"""`narrowed`: the weights of a trained network for one with fewer channels, by what its images show."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.graph import Architecture, Node
from kgrow.graph.channels import NO_CHANNEL, channel_labels, free_layers
from kgrow.graph.removal import sliced
from kgrow.graph.values import Weighted
from kgrow.network import GrowingNetwork
from kgrow.network.block_layer import seed_of
from kgrow.network.tap import call_tapped

OUTSIDE = -2  # a row or column of a kernel that is no channel
# Images that are looked at: pixels in total and at once, and their number. Positions that are looked at in all of them.
MOST_PIXELS, PIXELS_AT_ONCE, MOST_IMAGES, MOST_POSITIONS = 2_400_000, 300_000, 512, 16_384
MOST_UNFOLDED = 2**24  # values that a kernel reads at all positions, held at once
# Parts of each row's variance and of the largest one that are added to it: keep the inverse finite where channels
# depend on each other.
RIDGE, LEAST = 1e-3, 1e-12
PARTS = 16  # in which the channels of a layer leave, one after the other
MOST_ROWS = 4_608  # of a kernel whose moments are inverted


def narrowed(whole: Weighted, architecture: Architecture, images: np.ndarray) -> Weighted:
    """Returns the weights of a trained network for one with fewer channels in some layers.

    Of each layer those channels leave whose loss the others make up for best, and what reads the layer is fitted anew,
    so that its outputs over the images change least in the mean square; a kernel of very many rows is only cut. Both
    follow from the second moments `H` of what a kernel reads: with `P = inv(H)`, leaving out some rows `q` of a kernel
    `W` costs the sum over outputs of `W[q]' inv(P[q, q]) W[q]`, and all rows change by `-P[:, q] inv(P[q, q]) W[q]`.

    Args:
        whole: Trained network. Nodes without weights read nothing.
        architecture: Its first blocks, with fewer channels in layers that are not added to others.
        images: Raw pixels, (n, height, width, channels).

    Returns:
        The smaller network, with the weights of the nodes that have some in `whole`.

    Raises:
        ValueError: If the network computes values from the images that are not finite.

    References:
        Hassibi, Stork and Wolff, "Optimal Brain Surgeon and general network pruning", 1993, equation 5, with the output
        of a layer in place of the loss. He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural
        Networks", ICCV 2017, equation 1.
    """
    labels = channel_labels(whole.architecture)
    layers = _narrower_layers(whole.architecture, architecture)
    stays = np.ones(2 + max(int(own.max(initial=NO_CHANNEL)) for own in labels.values()), bool)  # the last: no channel
    weights = dict(whole.weights)
    if layers:
        readers = _readers(whole, [layer for layer, _ in layers], labels, images)
        for layer, count in layers:
            stays[_leaving(layer, count, [each for each in readers if each.reads(layer)])] = False
        for reader in readers:
            _store(reader, whole.architecture, weights)
    kept = {name: stays[own] for name, own in labels.items()}
    found = {
        node.name: sliced(whole.architecture.by_name[node.name], weights[node.name], kept)
        for node in architecture.nodes
    }
    return Weighted(architecture, found)


def _narrower_layers(whole: Architecture, architecture: Architecture) -> list[tuple[np.ndarray, int]]:
    """Returns the channels of each layer that has fewer of them in the architecture, and how many it has there."""
    layers = [(own, architecture.shapes.get(name, own.shape)[-1]) for name, own in free_layers(whole).items()]
    return [(own, count) for own, count in layers if count < len(own)]


@dataclasses.dataclass
class _Reader:
    """A kernel that reads channels, and what it reads.

    Args:
        name: Name of its node; None for a layer that no kernel reads: its channels must explain each other.
        labels: Channel of each row.
        kernel: Weights, (rows, outputs).
        scale: Factor of each output behind it.
        means: Mean of what each row reads; zero where nothing can store the constant that is missing without a row.
        moments: Second moments of what the rows read, relative to these means, (rows, rows).
    """

    name: str | None
    labels: np.ndarray
    kernel: np.ndarray
    scale: np.ndarray
    means: np.ndarray
    moments: dataclasses.InitVar[np.ndarray]

    def __post_init__(self, moments: np.ndarray) -> None:
        self.before, self.is_gone = self.kernel, np.zeros(len(self.labels), bool)
        scaled, sizes = self.kernel * self.scale, np.maximum(np.diag(moments), 0.0)
        self.total = float(np.sum(scaled * (moments @ scaled))) or 1.0
        # A part of each row's own: rows of other units would drown in a common one.
        self.inverse = np.linalg.inv(moments + np.diag(RIDGE * sizes + LEAST * (sizes.max() or 1.0)))

    def reads(self, channels: np.ndarray) -> bool:
        """Returns whether it reads some of these channels."""
        return bool(np.isin(self.labels, channels).any())

    def costs(self, channels: np.ndarray) -> np.ndarray:
        """Returns for each channel the part of the variance of the outputs that is lost without it."""
        return np.array([self._cost(np.flatnonzero(self.labels == channel)) for channel in channels])

    def _cost(self, rows: np.ndarray) -> float:
        scaled = self.kernel[rows] * self.scale
        return float(np.sum(scaled * np.linalg.solve(self.inverse[np.ix_(rows, rows)], scaled))) / self.total

    def remove(self, channels: np.ndarray) -> None:
        """Leaves channels out and fits the other rows."""
        rows = np.flatnonzero(np.isin(self.labels, channels))
        factors = np.linalg.solve(self.inverse[np.ix_(rows, rows)], self.inverse[rows]).T
        self.kernel = self.kernel - factors @ self.kernel[rows]
        self.inverse = self.inverse - factors @ self.inverse[rows]
        self.is_gone[rows] = True
        self.kernel[self.is_gone] = 0.0


def _leaving(layer: np.ndarray, count: int, readers: Sequence[_Reader]) -> np.ndarray:
    """Returns the channels of a layer that leave, so that some stay; the readers go on without them."""
    kept = np.sort(layer)
    part = math.ceil((len(kept) - count) / PARTS)
    while len(kept) > count:
        costs = sum((reader.costs(kept) for reader in readers), np.zeros(len(kept)))
        going = kept[np.argsort(costs, kind="stable")[: min(part, len(kept) - count)]]
        for reader in readers:
            reader.remove(going)
        kept = np.setdiff1d(kept, going)
    return np.setdiff1d(layer, kept)


def _readers(
    whole: Weighted, layers: Sequence[np.ndarray], labels: Mapping[str, np.ndarray], images: np.ndarray
) -> list[_Reader]:
    """Returns the kernels that read some layers, with the moments over some images."""
    architecture, wanted = whole.architecture, np.concatenate(layers)
    rows_of: dict[str, np.ndarray] = {}
    for each in architecture.kernels():
        node, own = architecture.by_name[each.name], whole.weights[each.name]
        rows, columns = node.operator.sides(labels[node.inputs[0]], labels[node.name], OUTSIDE)
        taps = math.prod(each.kernel_shape[:-2])
        if own and np.any(columns != OUTSIDE) and np.isin(rows, wanted).any() and taps * len(rows) <= MOST_ROWS:
            rows_of[node.name] = np.tile(rows, taps)
    unread = [layer for layer in layers if not any(np.isin(layer, rows).any() for rows in rows_of.values())]
    ends = {_last_map(architecture, labels, layer): layer for layer in unread}
    moments = _moments(whole, [*rows_of], [*ends], images)
    found = []
    for name, (covariance, means) in moments.items():
        if name in ends:
            width = len(ends[name])
            found.append(_Reader(None, labels[name], np.eye(width), np.ones(width), means, covariance))
            continue
        kernel = whole.weights[name]["kernel"].astype(np.float64).reshape(len(means), -1)
        if not _store_constant(whole.architecture, dict(whole.weights), name, np.zeros(kernel.shape[1])):
            covariance, means = covariance + np.outer(means, means), np.zeros(len(means))
        found.append(_Reader(name, rows_of[name], kernel, _scale_behind(whole, name), means, covariance))
    return found


def _last_map(architecture: Architecture, labels: Mapping[str, np.ndarray], layer: np.ndarray) -> str:
    """Returns the last node whose outputs are the channels of a layer, before they are pooled to a vector."""
    has_them = [node.name for node in architecture.nodes if np.array_equal(labels[node.name], layer)]
    maps = [name for name in has_them if len(architecture.shapes[name]) == 3]
    return (maps or has_them)[-1]


def _scale_behind(whole: Weighted, name: str) -> np.ndarray:
    """Returns the factors of a normalization that alone reads a node, else ones."""
    readers = whole.architecture.readers[name]
    affine = readers[0].operator.affine(whole.weights[readers[0].name]) if len(readers) == 1 else None
    width = whole.architecture.shapes[name][-1]
    return np.broadcast_to(1.0 if affine is None else np.asarray(affine[0], np.float64), width)


def _moments(
    whole: Weighted, kernels: Sequence[str], maps: Sequence[str], images: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns covariances and means of what some kernels read, and of some maps, over positions of images."""
    last = max(whole.architecture.owners[name][0] for name in (*kernels, *maps))
    architecture = dataclasses.replace(whole.architecture, blocks=whole.architecture.blocks[: last + 1])
    network = GrowingNetwork(architecture)
    network.load_state({**network.state(), **Weighted.of(architecture, whole.state).state})
    pixels = math.prod(images.shape[1:3])
    number = min(len(images), MOST_IMAGES, max(1, MOST_PIXELS // pixels))
    chosen = images[np.linspace(0, len(images) - 1, number).astype(int)]
    at_once = max(1, PIXELS_AT_ONCE // pixels)
    read = {name: _Moments() for name in (*kernels, *maps)}

    def tap(node: Node, inputs: Sequence[Any], compute: Callable[[Sequence[Any]], Any]) -> Any:
        made = compute(inputs)
        for part in _parts(node, inputs[0], made) if node.name in read else ():
            rows: Any = node.operator.patches(inputs[0][part]) if node.name in kernels else made[part]
            if rows is None:  # an operator of another package that cannot tell
                break
            rows = tf.reshape(rows, (-1, rows.shape[-1]))
            most = math.ceil(MOST_POSITIONS * len(made[part]) / number)
            if len(rows) > most:
                # Whatever else is looked at: a deeper network must begin with the same values.
                generator = np.random.default_rng(seed_of(read[node.name].count, node.name))
                rows = tf.gather(rows, np.sort(generator.choice(len(rows), most, replace=False)))
            read[node.name].add(rows)
        return made

    for start in range(0, number, at_once):
        call_tapped(network, tf.constant(chosen[start : start + at_once], tf.float32), tap)
    found = {name: each.covariance_and_means() for name, each in read.items() if each.count}
    for name, (covariance, _) in found.items():
        if not np.isfinite(covariance).all():
            raise ValueError(
                f"The trained network must compute finite values from the training images, but at {name!r} it does not."
            )
    return found


def _parts(node: Node, read: Any, made: Any) -> list[slice]:
    """Returns parts of a batch that are not too large when what a kernel reads is unfolded."""
    rows = math.prod(node.operator.kernel_shape(tuple(read.shape[1:]))[:-1])
    step = max(1, MOST_UNFOLDED // (rows * math.prod(made.shape[1:-1])))
    return [slice(start, start + step) for start in range(0, len(made), step)]


class _Moments:
    """Sums over rows, relative to the mean of the first of them: the difference of large squares would lose digits."""

    def __init__(self) -> None:
        self.count, self.shift = 0, None
        self.sums: Any = 0.0
        self.products: Any = 0.0

    def add(self, rows: Any) -> None:
        """Adds rows, a tensor (n, values)."""
        self.shift = tf.reduce_mean(rows, axis=0) if self.shift is None else self.shift
        shifted = rows - self.shift
        self.count += len(rows)
        self.sums = self.sums + tf.reduce_sum(shifted, axis=0).numpy().astype(np.float64)
        self.products = self.products + tf.matmul(shifted, shifted, transpose_a=True).numpy().astype(np.float64)

    def covariance_and_means(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the covariance (values, values) and the mean of each value."""
        means = self.sums / self.count
        return self.products / self.count - np.outer(means, means), means + np.asarray(self.shift)


def _store(reader: _Reader, architecture: Architecture, weights: dict[str, Mapping[str, np.ndarray]]) -> None:
    """Gives a node its fitted kernel, and the constant that it lacks to what can store it."""
    if reader.name is None or not reader.is_gone.any():
        return
    own = weights[reader.name]
    weights[reader.name] = {**own, "kernel": reader.kernel.reshape(own["kernel"].shape).astype(np.float32)}
    _store_constant(architecture, weights, reader.name, reader.means @ (reader.before - reader.kernel))


def _store_constant(
    architecture: Architecture, weights: dict[str, Mapping[str, np.ndarray]], name: str, constant: np.ndarray
) -> bool:
    """Adds a constant to a node, or to what alone reads it; returns whether one of them can store it."""
    node, readers = architecture.by_name[name], architecture.readers[name]
    stored = node.operator.raised(weights[name], constant)
    if stored is None and len(readers) == 1:
        name = readers[0].name
        stored = readers[0].operator.compensated(weights[name], constant)
    if stored is not None:
        weights[name] = stored
    return stored is not None
