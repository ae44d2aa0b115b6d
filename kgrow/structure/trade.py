"""`Trade`: prunes some connections and restores others at once."""

from __future__ import annotations

import base64
import dataclasses
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kgrow._tfmot import apply_masks, revive_connections
from kgrow.structure.change import Change, Scoring

if TYPE_CHECKING:
    from kgrow.network import GrowingNetwork


@dataclasses.dataclass(frozen=True)
class Trade(Change):
    """Prunes the named connections and restores others, with weight zero.

    Args:
        removed: Whether each connection is pruned, bool of the kernel's shape, by name of those that lose some.
        revived: Whether each connection is restored, likewise.
        ledger: Entries of the log: see `kgrow.structure.Market`.
    """

    removed: Mapping[str, np.ndarray]
    revived: Mapping[str, np.ndarray]
    ledger: Mapping[str, float] = dataclasses.field(default_factory=dict)
    event: ClassVar[str] = "traded"
    revives: ClassVar[bool] = True

    def remask(self, network: GrowingNetwork, scoring: Scoring) -> None:
        """See `Change.remask`.

        Raises:
            ValueError: If there is no such kernel, a removed connection is pruned already, or a restored one is not.
        """
        kernels = {kernel.name: kernel for kernel in network.kernels()}
        masks: dict[str, np.ndarray] = {}
        for chosen, was, words in ((self.removed, 1.0, "kept"), (self.revived, 0.0, "pruned")):
            for name, own in chosen.items():
                if name not in kernels:
                    raise ValueError(f"`{words}` must be of kernels of the network, but {name!r} is none.")
                mask = masks.setdefault(name, kernels[name].mask.numpy())
                if np.shape(own) != mask.shape or np.any(kernels[name].mask.numpy()[own] != was):
                    raise ValueError(f"Connections to trade must be {words} ones, but some of {name!r} are not.")
                mask[own] = 1.0 - was
        apply_masks(kernels.values())
        revive_connections([kernels[name] for name in masks], list(masks.values()))
        apply_masks(kernels.values())

    def to_json(self) -> dict[str, Any]:
        """See `Change.to_json`."""
        sides = {"removed": self.removed, "revived": self.revived}
        packed = {side: {name: pack(own) for name, own in sorted(chosen.items())} for side, chosen in sides.items()}
        return {**packed, "ledger": dict(self.ledger)}


def pack(chosen: np.ndarray) -> dict[str, Any]:
    """Returns a boolean array as plain JSON: its shape and its compressed bits."""
    bits = zlib.compress(np.packbits(chosen).tobytes(), 9)
    return {"shape": list(chosen.shape), "bits": base64.b64encode(bits).decode()}


def unpack(packed: Mapping[str, Any]) -> np.ndarray:
    """Returns the array that `pack` was given."""
    shape = tuple(packed["shape"])
    bits = np.frombuffer(zlib.decompress(base64.b64decode(packed["bits"])), np.uint8)
    return np.unpackbits(bits, count=int(np.prod(shape))).astype(bool).reshape(shape)
