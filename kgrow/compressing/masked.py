"""`MaskedModel`: a copy of a user's model with masks, as criteria and fine-tuning see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow._tfmot import apply_masks, assign_masks
from kgrow.compressing.graph import Graph, Values, build, outputs, variables
from kgrow.compressing.groups import GraphGroups
from kgrow.pruning.channels import connected

MASKED_VECTORS = ("bias", "gamma", "beta")


@dataclasses.dataclass(frozen=True)
class MaskedWeight:
    """A weight tensor and its mask; see `kgrow._tfmot.Masked`.

    Args:
        name: Where it stands, for example `conv2d/kernel`.
        weight: The variable that is masked.
        mask: The {0, 1} variable that says what is kept.
    """

    name: str
    weight: Any
    mask: Any

    @property
    def size(self) -> int:
        """The number of prunable connections."""
        return int(np.prod(self.weight.shape))


class MaskedModel:
    """A model whose connections and channels can be pruned, see `kgrow.pruning.criterion.Prunable`.

    Args:
        graph: Up to the logits.
        values: Its weights.
        grouped: Its channel groups.
    """

    def __init__(self, graph: Graph, values: Values, grouped: GraphGroups):
        self.grouped = grouped
        self.model = build(graph, values)
        self._variables = variables(self.model)
        self._kernels = [self._masked(name) for name in grouped.groups.kernels]
        names = (f"{node.name}/{kind}" for node in graph.nodes for kind in MASKED_VECTORS)
        self._vectors = [self._masked(name) for name in names if name in self._variables]

    def __call__(self, images: Any, training: Any = None) -> tuple[Any, ...]:
        """Maps raw pixels (batch, height, width, channels) to a tuple of the logits (batch, num_classes)."""
        return (self.model(tf.cast(images, tf.float32), training=bool(training)),)

    def kernels(self, block_index: int | None = None) -> Sequence[MaskedWeight]:
        """Returns the prunable kernels; all of them are of block 0."""
        return self._kernels

    def named_variables(self) -> dict[str, Any]:
        """Returns the variables of the model by names such as `conv2d/kernel`."""
        return dict(self._variables)

    def apply_masks(self) -> None:
        """Zeroes every pruned weight, and the biases, scales and offsets of removed channels."""
        apply_masks([*self._kernels, *self._vectors])

    def state(self) -> dict[str, np.ndarray]:
        """Returns the values of the variables."""
        return {name: variable.numpy() for name, variable in self._variables.items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Assigns what `state` returned."""
        for name, variable in self._variables.items():
            variable.assign(state[name])

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Runs inference over many raw images; returns float32 (num_images, num_classes)."""
        return outputs(self.model, images)

    @property
    def size(self) -> int:
        """The number of prunable connections."""
        return sum(kernel.size for kernel in self._kernels)

    def kept_params(self) -> int:
        """Counts the connections that the masks keep."""
        return sum(int(np.count_nonzero(kernel.mask.numpy())) for kernel in self._kernels)

    def remove_dead_channels(self) -> np.ndarray:
        """Zeroes all that belongs to channels which nothing makes or nothing reads.

        Returns:
            The groups that are left, bool (num_groups,).
        """
        masks, left = connected(self.grouped.groups, {kernel.name: kernel.mask.numpy() for kernel in self._kernels})
        assign_masks(self._kernels, list(masks.values()))
        stays_channel = np.append(left, True)
        for vector in self._vectors:
            vector.mask.assign(stays_channel[self.grouped.made[vector.name.rpartition("/")[0]]].astype(np.float32))
        self.apply_masks()
        return left

    def _masked(self, name: str) -> MaskedWeight:
        weight = self._variables[name]
        return MaskedWeight(name, weight, tf.Variable(tf.ones(weight.shape), trainable=False))
