"""Groups of channels: which nodes make a channel, which pass it on, and which tie it to others."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from kgrow.graph.architecture import Architecture
from kgrow.graph.node import IMAGE

# The label of outputs without an own channel: the image's channels, the classes, and channels tied to them.
NO_CHANNEL = -1


@functools.lru_cache(maxsize=32)
def channel_labels(architecture: Architecture) -> Mapping[str, np.ndarray]:
    """Returns the group number of every output channel by name, `"image"` included, int (channels,).

    Channels of a group are removed or kept together: those that are added or multiplied, and those that an operator
    passes on. Groups are numbered from 0 in the order of the nodes; -1 is the group of the image's channels and of the
    classes.
    """
    ties = _Ties()
    (fixed,) = ties.new(1)
    labels: dict[str, np.ndarray] = {IMAGE: np.full(architecture.input_shape[2], fixed)}
    answers = {architecture.logits(head) for head in range(len(architecture.blocks))}
    for node in architecture.nodes:
        sources = node.operator.aligned([labels[name] for name in node.inputs], architecture.input_shapes(node))
        own = labels[node.name] = sources[0] if sources else ties.new(architecture.shapes[node.name][-1])
        for other in (*sources[1:], *([np.full(len(own), fixed)] if node.name in answers else [])):
            ties.join(own, other)
    numbered = ties.numbered()
    return {name: numbered[part] - 1 for name, part in labels.items()}


def free_layers(architecture: Architecture) -> dict[str, np.ndarray]:
    """Returns the channels of the layers whose width can be chosen, by the name of the first node that makes them.

    Left out are layers that are added to others, and those that share channels with a smaller layer: they follow it.
    """
    labels, nodes = channel_labels(architecture), architecture.nodes
    taken = np.concatenate([[NO_CHANNEL], *(labels[node.name] for node in nodes if node.operator.adds_inputs)])
    found: dict[bytes, tuple[str, np.ndarray]] = {}
    for node in nodes:
        if node.operator.makes_channels:
            found.setdefault(labels[node.name].tobytes(), (node.name, labels[node.name]))
    free = set()
    for name, own in sorted(found.values(), key=lambda each: len(each[1])):
        if not np.isin(own, taken).any() and len(np.unique(own)) == len(own):
            free.add(name)
            taken = np.concatenate([taken, own])
    return {name: own for name, own in found.values() if name in free}


class _Ties:
    """Equivalence classes of labels: a union-find forest with the lowest label as the root."""

    def __init__(self) -> None:
        self.parents: list[int] = []

    def new(self, count: int) -> np.ndarray:
        """Returns `count` new labels."""
        start = len(self.parents)
        self.parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def root(self, label: int) -> int:
        """Returns the lowest label that is equivalent to one."""
        while self.parents[label] != label:
            self.parents[label] = self.parents[self.parents[label]]
            label = self.parents[label]
        return label

    def join(self, ones: np.ndarray, others: np.ndarray) -> None:
        """Makes labels equivalent, pair by pair."""
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            low, high = sorted((self.root(one), self.root(other)))
            self.parents[high] = low

    def numbered(self) -> np.ndarray:
        """Returns for each label the number of its root among all roots."""
        roots = [self.root(label) for label in range(len(self.parents))]
        return np.unique(roots, return_inverse=True)[1]
