"""`Revive`: restores pruned connections."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kgrow._checks import plain
from kgrow._tfmot import revive_connections
from kgrow.structure.change import Change, Scoring

if TYPE_CHECKING:
    from kgrow.network import GrowingNetwork


@dataclasses.dataclass(frozen=True)
class Revive(Change):
    """Restores pruned connections with weight zero; no other change can.

    Args:
        connections: Flat indices of the connections to restore, by kernel name; all of them must be pruned.
    """

    connections: Mapping[str, tuple[int, ...]]
    event: ClassVar[str] = "revived"
    revives: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, indices in self.connections.items():
            if any(isinstance(plain(index), bool) or not isinstance(plain(index), int) for index in indices):
                raise ValueError(f"`connections` must be whole numbers, but got {indices} for {name!r}.")
            if len(set(indices)) < len(indices):
                raise ValueError(f"`connections` must name each connection once, but got {indices} for {name!r}.")

    def remask(self, network: GrowingNetwork, scoring: Scoring) -> None:
        """See `Change.remask`.

        Raises:
            ValueError: If there is no such kernel, or a connection is not pruned.
        """
        kernels = {kernel.name: kernel for kernel in network.kernels()}
        masks = {}
        for name, indices in self.connections.items():
            if name not in kernels:
                raise ValueError(f"`connections` must name kernels of the network, but {name!r} is none.")
            mask = kernels[name].mask.numpy()
            chosen = np.asarray(indices, int)
            if not (chosen >= 0).all() or not (chosen < mask.size).all() or mask.flat[chosen].any():
                raise ValueError(f"`connections` must be pruned ones, but some of {name!r} are not.")
            mask.flat[chosen] = 1.0
            masks[name] = mask
        revive_connections([kernels[name] for name in masks], list(masks.values()))

    def to_json(self) -> dict[str, Any]:
        """See `Change.to_json`."""
        return {"connections": {name: list(map(int, own)) for name, own in sorted(self.connections.items())}}
