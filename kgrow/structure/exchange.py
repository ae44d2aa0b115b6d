"""`Exchange`: prunes weak connections and restores others in their place."""

from __future__ import annotations

import dataclasses
import zlib
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kgrow._rules import check_fields, one_of, within
from kgrow._tfmot import apply_masks, revive_connections
from kgrow.pruning.gradients import mean_gradients
from kgrow.registry import REGROWTHS
from kgrow.structure.change import Change, Scoring

if TYPE_CHECKING:
    from kgrow.network import GrowingNetwork


@dataclasses.dataclass(frozen=True)
class Exchange(Change):
    """Prunes the smallest weights of each kernel and restores as many connections, so that each keeps its number.

    Connections that were just pruned may be restored; they keep their weight, all others start at zero.

    Args:
        fraction: Fraction of each kernel's kept connections that is exchanged, in [0, 1).
        grown_by: `"gradient"` restores those with the largest gradient of the loss (RigL), `"random"` draws them (SET).
        draw: Seed of the draws.

    References:
        Evci, Gale, Menick, Castro and Elsen, "Rigging the Lottery: Making All Tickets Winners", ICML 2020,
        https://arxiv.org/abs/1911.11134, Algorithm 1. Mocanu et al., "Scalable Training of Artificial Neural Networks
        with Adaptive Sparse Connectivity Inspired by Network Science", Nature Communications 2018,
        https://arxiv.org/abs/1707.04780.
    """

    fraction: float
    grown_by: str = "gradient"
    draw: int = 0
    event: ClassVar[str] = "exchanged"
    revives: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, {"grown_by": one_of(REGROWTHS), "fraction": within("[0, 1)")})

    def remask(self, network: GrowingNetwork, scoring: Scoring) -> None:
        """See `Change.remask`."""
        kernels = network.kernels()
        apply_masks(kernels)
        if self.grown_by == "gradient":
            # The wrapper masks a weight before it is used, so masked weights have a gradient.
            gains = mean_gradients(network, [kernel.weight for kernel in kernels], scoring.batches, scoring.loss)
        else:
            gains = [
                np.random.default_rng((self.draw, zlib.crc32(kernel.name.encode()))).random(kernel.weight.shape)
                for kernel in kernels
            ]
        masks = [
            exchanged(kernel.mask.numpy(), np.abs(kernel.weight.numpy()), np.abs(gain), self.fraction)
            for kernel, gain in zip(kernels, gains, strict=True)
        ]
        revive_connections(kernels, masks)
        apply_masks(kernels)


def exchanged(mask: np.ndarray, strength: np.ndarray, gain: np.ndarray, fraction: float) -> np.ndarray:
    """Returns the mask after an exchange, with as many kept connections.

    Args:
        mask: {0, 1} mask of a kernel.
        strength: Score of each connection; of those that are kept the lowest go.
        gain: Score of each connection; of all that are then pruned the highest come.
        fraction: Fraction of the kept connections that is exchanged.
    """
    made = mask.copy()
    kept = np.flatnonzero(mask)
    number = int(fraction * len(kept))
    made.flat[kept[np.argsort(strength.flat[kept], kind="stable")[:number]]] = 0
    gone = np.flatnonzero(made == 0)
    made.flat[gone[np.argsort(-gain.flat[gone], kind="stable")[:number]]] = 1
    return made
