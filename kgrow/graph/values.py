"""Properties of a network's values without running it: constants, signs, and which values matter."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from kgrow.graph.architecture import Architecture
from kgrow.graph.contract import check_arrays
from kgrow.graph.node import IMAGE

NodeWeights = Mapping[str, Mapping[str, np.ndarray]]


class Weighted(NamedTuple):
    """An architecture with the weights of each node by name; arrays are never modified."""

    architecture: Architecture
    weights: NodeWeights

    @staticmethod
    def of(architecture: Architecture, state: Mapping[str, np.ndarray]) -> Weighted:
        """Returns the network of an architecture and the state of its Keras model."""
        weights: dict[str, dict[str, np.ndarray]] = {node.name: {} for node in architecture.nodes}
        for key, value in state.items():
            node, _, name = key.rpartition("/")
            if node in weights:  # heads and blocks may have been cut
                weights[node][name] = value
        return Weighted(architecture, weights)

    @property
    def state(self) -> dict[str, np.ndarray]:
        """The weights, named `node/weight`."""
        return {f"{node}/{name}": value for node, own in self.weights.items() for name, value in own.items()}


def digest_of(state: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 hash of names and values, in hexadecimal digits."""
    found = hashlib.sha256()
    for name, value in sorted(state.items()):
        found.update(f"{name} {np.shape(value)} {value.dtype}".encode() + np.ascontiguousarray(value).tobytes())
    return found.hexdigest()


def constants_of(weighted: Weighted) -> dict[str, np.ndarray]:
    """Returns the constant value of each output channel by name, NaN if it depends on the image."""
    architecture, weights = weighted
    found = {IMAGE: np.full(architecture.input_shape[2], np.nan)}
    for node in architecture.nodes:
        inputs = [found[name] for name in node.inputs]
        made = node.operator.constants(inputs, weights[node.name], architecture.input_shapes(node))
        check_arrays(node.operator, "constants", (made,), [architecture.shapes[node.name][-1:]])
        found[node.name] = made
    return found


def read_channels(weighted: Weighted, heads: Collection[int]) -> dict[str, np.ndarray]:
    """Returns which output channels affect the logits of some heads, by name, bool (channels,)."""
    architecture, weights = weighted
    found = {name: np.zeros(shape[-1], bool) for name, shape in architecture.shapes.items()}
    for head in heads:
        found[architecture.logits(head)][:] = True
    for node in reversed(architecture.nodes):
        own, shapes = weights[node.name], architecture.input_shapes(node)
        needed = node.operator.reads(found[node.name], own, shapes)
        check_arrays(node.operator, "reads", needed, [shape[-1:] for shape in shapes])
        for name, read in zip(node.inputs, needed, strict=True):
            found[name] = found[name] | read
    return found


def non_negative(architecture: Architecture) -> set[str]:
    """Returns the nodes without negative outputs."""
    found: set[str] = set()
    for node in architecture.nodes:
        if node.operator.is_non_negative([name in found for name in node.inputs]):
            found.add(node.name)
    return found
