"""`Cut`: ends the network after an earlier block."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from kgrow._checks import check_positive_int
from kgrow.graph import Architecture
from kgrow.structure.change import Change, WeightMap


@dataclasses.dataclass(frozen=True)
class Cut(Change):
    """Removes all blocks after the first ones; the answers of their heads stay.

    Args:
        num_blocks: Number of blocks that stay.
    """

    num_blocks: int

    event: ClassVar[str] = "cut"

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_blocks", check_positive_int(self.num_blocks, "num_blocks"))

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """See `Change.apply`."""
        if self.num_blocks >= len(architecture.blocks):
            raise ValueError(
                f"`num_blocks` must be below the {len(architecture.blocks)} of the network, but got {self.num_blocks}."
            )
        return dataclasses.replace(architecture, blocks=architecture.blocks[: self.num_blocks]), WeightMap()
