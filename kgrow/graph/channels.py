"""Which channels of a network belong together: what makes a channel, what passes it on, and what ties it to others."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from kgrow.graph.architecture import Architecture
from kgrow.graph.node import IMAGE

# The label of what is no channel of its own: the image's channels, the classes, and what is tied to them.
NO_CHANNEL = -1


@functools.lru_cache(maxsize=32)
def channel_labels(architecture: Architecture) -> Mapping[str, np.ndarray]:
    """Returns per name, `"image"` included, the number of the group of every output channel, int (channels,).

    Channels of a group go together or stay together: those that are added or multiplied, and those that an operator
    hands on. Groups are numbered from 0 in the order of the nodes; -1 is the group of the image's channels and of the
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


class _Ties:
    """Labels of which some are the same: a union-find forest, the lowest label being the root."""

    def __init__(self) -> None:
        self.parents: list[int] = []

    def new(self, count: int) -> np.ndarray:
        """Returns so many new labels."""
        start = len(self.parents)
        self.parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def root(self, label: int) -> int:
        """Returns the lowest label that is the same as one."""
        while self.parents[label] != label:
            self.parents[label] = self.parents[self.parents[label]]
            label = self.parents[label]
        return label

    def join(self, ones: np.ndarray, others: np.ndarray) -> None:
        """Makes labels the same, pair by pair."""
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            low, high = sorted((self.root(one), self.root(other)))
            self.parents[high] = low

    def numbered(self) -> np.ndarray:
        """Returns per label the number of its root among all roots."""
        roots = [self.root(label) for label in range(len(self.parents))]
        return np.unique(roots, return_inverse=True)[1]
