"""A `GrowingNetwork` as the input of `kgrow.bayes.Compression`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow._tfmot import assign_masks
from kgrow.network import GrowingNetwork
from kgrow.pruning.bayes_models import KernelModel
from kgrow.pruning.channels import NUM_NO_GROUPS, channel_groups, connected
from kgrow.task import Augmentation


class CompressibleNetwork:
    """A growing network whose groups of weights can be removed; see `kgrow.bayes.Compressible`.

    Removed weights stay in the network as zeros; `kgrow.exporting.compact` deletes them.

    Args:
        network: Network to train in place, on raw pixels.
        augmentation: Augmentation of scaled images in training.
        seed: Random seed of the augmentation.
    """

    def __init__(self, network: GrowingNetwork, augmentation: Augmentation | None = None, seed: int = 0):
        self.network, self.augmentation, self.seed = network, augmentation or Augmentation(), seed
        self._prunable = network.kernels()
        self._groups = channel_groups(network.architecture)
        self.kernels = [kernel.weight for kernel in self._prunable]
        named = network.named_variables()
        self.trainable = [variable for variable in named.values() if variable.trainable]
        # Scale and offset of a normalization, or bias: if they stayed, a removed channel would still be a constant.
        self._gates = {
            name: (named[name], tf.Variable(tf.ones(owners.shape), trainable=False))
            for name, owners in self._groups.gates.items()
        }
        self._step = tf.Variable(0, trainable=False)

    @property
    def variables(self) -> list[Any]:
        """See `Compressible.variables`."""
        return [*self.network.named_variables().values(), *(mask for _, mask in self._gates.values()), self._step]

    @property
    def model(self) -> KernelModel:
        """See `Compressible.model`."""
        return KernelModel(self.network)

    def outputs(self, images: Any) -> tuple[Any, ...]:
        """See `Compressible.outputs`."""
        step = self._step.assign_add(1)
        seed = tf.stack([self.seed, step])
        self.network.start_draws(step)
        return self.network.call_scaled(self.augmentation.augment(self.network.scale(images), seed), training=True)

    def connected(self, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `Compressible.connected`."""
        return list(connected(self._groups, self._named(masks))[0].values())

    def remove(self, masks: Sequence[np.ndarray]) -> None:
        """See `Compressible.remove`."""
        alive = self._groups.alive(self._named(masks))
        named = self._named(masks)
        architecture = self.network.architecture
        stays = np.append(alive, [True] * NUM_NO_GROUPS)
        for head in range(len(architecture.blocks)):
            name = architecture.kernels(head)[-1].name
            rows, _ = self._groups.kernels[name]
            if not (stays[rows] & named[name].any(axis=1)).any():
                raise ValueError(
                    f"`masks` must leave every head a path from the image, but leave head {head} none. Lower the "
                    "prices that are too high."
                )
        assign_masks(self._prunable, [mask.astype(np.float32) for mask in masks])
        stays = np.append(alive, True).astype(np.float32)
        for name, (_, mask) in self._gates.items():
            mask.assign(stays[self._groups.gates[name]])
        self.apply_masks()

    def apply_masks(self) -> None:
        """See `Compressible.apply_masks`."""
        self.network.apply_masks()
        for variable, mask in self._gates.values():
            variable.assign(variable * mask)

    def _named(self, masks: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        return {kernel.name: mask for kernel, mask in zip(self._prunable, masks, strict=True)}
