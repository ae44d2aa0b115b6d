"""Channel groups: their members, their joint scores, and the selection of the kept ones.

A removed channel is removed together with the weights that make it (output columns and normalization) and those that
read it (input rows of every reader). A sum ties the channels that it adds, so they form one group.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from kgrow.graph import Architecture
from kgrow.graph.channels import NO_CHANNEL, channel_labels

# Label of a depthwise kernel's column, which is not a group of its own either.
ITSELF = -2
NUM_NO_GROUPS = 2


@dataclasses.dataclass(frozen=True)
class ChannelGroups:
    """The channel groups of an architecture, numbered from 0.

    Args:
        kernels: Group of every input row and every output column, by kernel name; -1 for the image's channels and the
            classes, -2 for the one column of a depthwise kernel.
        layers: Groups of every map and every hidden layer; at least one of each must stay.
        blocks: Block of each group: that of its first channel.
        macs: Multiply-accumulates of each group, which are saved by its removal.
        gates: Group of each entry of the variables whose joint scaling scales a whole group: scales and offsets of its
            normalizations. By variable name; -1 for none, of a shape that broadcasts to the variable's.
        factors: Variable of `gates` that is the factor of a node's channels, by the name of the node.
    """

    kernels: dict[str, tuple[np.ndarray, np.ndarray]]
    layers: tuple[np.ndarray, ...]
    blocks: np.ndarray
    macs: np.ndarray
    gates: dict[str, np.ndarray]
    factors: dict[str, str]

    def __len__(self) -> int:
        return len(self.blocks)

    def total(self, per_connection: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the sum over the connections of each group, float64 (num_groups,).

        Args:
            per_connection: Array of the kernel's shape, by kernel name.
        """
        read, made = self._sides(per_connection)
        return read + made

    def alive(self, masks: dict[str, np.ndarray]) -> np.ndarray:
        """Returns which groups lie on a path from the image to an output, bool (num_groups,).

        It is not enough to be made and read: channels tied by a shortcut may feed only each other.

        Args:
            masks: Masks by kernel name.
        """
        return self._reached(self._steps(masks)) & self.read(masks)

    def read(self, masks: dict[str, np.ndarray]) -> np.ndarray:
        """Returns from which groups a path leads to an output, bool (num_groups,); the others may hold any value.

        Args:
            masks: Masks by kernel name.
        """
        return self._reached([(columns, rows, matrix.T) for rows, columns, matrix in reversed(self._steps(masks))])

    def _steps(self, masks: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Returns the steps from input to output groups, and which of them the masks allow, per kernel."""
        matrices = {name: np.any(mask, axis=tuple(range(mask.ndim - 2))) for name, mask in masks.items()}
        return [(rows, columns, matrices[name]) for name, (rows, columns) in self.kernels.items()]

    def _reached(self, steps: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
        """Returns which groups can be reached from outside, along steps between groups that the matrices allow."""
        reached = np.zeros(len(self) + NUM_NO_GROUPS, bool)
        reached[NO_CHANNEL] = True
        before = 0
        while before < (before := int(reached.sum())):
            for starts, ends, allowed in steps:
                reached[ends[allowed[reached[starts]].any(axis=0)]] = True
        return reached[: len(self)]

    def _sides(self, per_connection: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        read, made = np.zeros((2, len(self) + NUM_NO_GROUPS))
        for name, (rows, columns) in self.kernels.items():
            values = per_connection[name]
            matrix = values.reshape(-1, *values.shape[-2:]).sum(axis=0)
            np.add.at(read, rows, matrix.sum(axis=1))
            np.add.at(made, columns, matrix.sum(axis=0))
        return read[: len(self)], made[: len(self)]

    def masks(self, kept: np.ndarray) -> dict[str, np.ndarray]:
        """Returns by kernel name which connections belong only to kept groups, bool (inputs, outputs).

        Args:
            kept: Kept groups, bool (num_groups,).
        """
        stays = np.append(kept, [True] * NUM_NO_GROUPS)
        return {name: np.outer(stays[rows], stays[columns]) for name, (rows, columns) in self.kernels.items()}


@functools.lru_cache(maxsize=8)
def channel_groups(architecture: Architecture) -> ChannelGroups:
    """Returns the groups of an architecture."""
    labels = channel_labels(architecture)
    num_groups = 1 + max(int(own.max(initial=NO_CHANNEL)) for own in labels.values())
    kernels: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    layers: dict[bytes, np.ndarray] = {}
    gates: dict[str, np.ndarray] = {}
    factors: dict[str, str] = {}
    blocks = np.full(num_groups, len(architecture.blocks))
    names = {kernel.name: kernel for kernel in architecture.kernels()}
    for node in architecture.nodes:
        own, (block, is_head) = labels[node.name], architecture.owners[node.name]
        is_channel = own != NO_CHANNEL
        if node.name in names:
            kernels[node.name] = node.operator.sides(labels[node.inputs[0]], own, ITSELF)
        if is_channel.any() and not is_head:
            np.minimum.at(blocks, own[is_channel], block)
            layers[own[is_channel].tobytes()] = own[is_channel]
        scales = [f"{node.name}/{kind}" for kind in node.operator.scales]
        gates |= dict.fromkeys(scales, own)
        if scales:
            factors[node.name] = scales[0]
    gates |= _unnormed(architecture, gates, num_groups)
    groups = ChannelGroups(kernels, tuple(layers.values()), blocks, np.zeros(num_groups), gates, factors)
    positions = {name: np.full(kernel.kernel_shape, float(kernel.positions)) for name, kernel in names.items()}
    return dataclasses.replace(groups, macs=groups.total(positions))


def _unnormed(architecture: Architecture, gates: Mapping[str, np.ndarray], num_groups: int) -> dict[str, np.ndarray]:
    """Returns the `ChannelGroups.gates` entries of groups without a scale: kernel and bias of their layers."""
    labels = channel_labels(architecture)
    is_scaled = np.zeros(num_groups + 1, bool)  # the last entry is for labels that are not groups
    for own in gates.values():
        is_scaled[own] = True
    found: dict[str, np.ndarray] = {}
    for node in architecture.nodes:
        owners = np.where(is_scaled[labels[node.name]], NO_CHANNEL, labels[node.name])
        if node.operator.makes_channels and (owners != NO_CHANNEL).any():
            has_bias = node.operator.num_weights(*architecture.input_shapes(node))[0] > 0
            found |= {f"{node.name}/{kind}": owners for kind in ("kernel", *(["bias"] if has_bias else []))}
    return found


def select_channels(
    groups: ChannelGroups,
    saliency: np.ndarray,
    alive: np.ndarray,
    keep_ratios: dict[int, float],
    multiple_of: int = 1,
    min_saliency: float = 0.0,
) -> np.ndarray:
    """Keeps in each block the channels with the highest saliency per multiply-accumulate.

    Ties go to the earlier channel. Removed channels stay removed. Every layer keeps a channel. If `multiple_of`
    requires it, a layer keeps as many more of its best channels as its width needs to be a multiple, as far as they are
    alive.

    Args:
        groups: All channel groups.
        saliency: Scores, non-negative, float (num_groups,).
        alive: Present groups, bool (num_groups,).
        keep_ratios: Kept fraction of each block's channels, by block index; `floor(keep_ratio * channels)` groups are
            kept.
        multiple_of: Divisor of the widths of layers.
        min_saliency: Smallest kept score in the blocks of `keep_ratios`; fewer groups are kept if fewer reach it.

    Returns:
        Kept groups, bool (num_groups,).

    Raises:
        ValueError: If a saliency is negative or not finite.
    """
    if not np.isfinite(saliency).all() or np.min(saliency, initial=0.0) < 0:
        raise ValueError("`saliency` must be finite and non-negative.")
    ranked = np.where(alive, saliency / np.maximum(groups.macs, 1.0), -1.0)
    kept = alive.copy()
    for block, ratio in keep_ratios.items():
        members = np.flatnonzero(groups.blocks == block)
        order = members[np.argsort(-ranked[members], kind="stable")]
        kept[order[int(ratio * len(members) + 1e-9) :]] = False
        kept[members] &= saliency[members] >= min_saliency
    for layer in groups.layers:
        distinct = np.unique(layer)
        width = int(kept[layer].sum())
        wanted = max(multiple_of, -(-width // multiple_of) * multiple_of)
        for index in distinct[np.argsort(-ranked[distinct], kind="stable")]:
            if int(kept[layer].sum()) < wanted and alive[index]:
                kept[index] = True
    return kept


def connected(groups: ChannelGroups, masks: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Removes all connections of channels that are not on a path from the image to an output.

    Args:
        groups: All channel groups.
        masks: {0, 1} or bool masks by kernel name.

    Returns:
        The remaining masks, and the remaining groups, bool (num_groups,).
    """
    left = groups.alive(masks)
    stays = groups.masks(left)
    return {name: mask * stays[name] for name, mask in masks.items()}, left


def kernel_shaped(groups: ChannelGroups, kept: np.ndarray, shapes: dict[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Returns a float32 {0, 1} mask of every kernel's shape."""
    return {
        name: np.broadcast_to(mask, tuple(shapes[name])).astype(np.float32) for name, mask in groups.masks(kept).items()
    }
