"""`Scaling`: the map from raw pixels to the network's input."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Maps raw pixels to the input of the first convolution: `(pixel - mean) / std`, one pair per channel.

    Args:
        mean: One value per channel, in raw pixel units.
        std: One positive value per channel, in raw pixel units.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not all(std > 0 for std in self.std):
            raise ValueError(f"`std` must hold one positive value per channel of `mean`, but got {self}.")
