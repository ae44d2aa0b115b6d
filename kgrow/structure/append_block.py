"""`AppendBlock`: adds a block to the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from kgrow.graph import Architecture, Block
from kgrow.graph.values import digest_of
from kgrow.structure.change import Change, WeightMap


@dataclasses.dataclass(frozen=True)
class AppendBlock(Change):
    """Appends a block with all its connections; existing blocks do not change.

    Args:
        block: Block to append.
        initial: Initial values of its variables, by name; variables without one are initialized at random.
    """

    block: Block
    initial: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict, compare=False)
    event: ClassVar[str] = "grew"

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """See `Change.apply`."""
        try:
            return architecture.grow(self.block), WeightMap(given=self.initial)
        except ValueError as error:
            raise ValueError(
                f"`block` must fit the network that it is appended to: {error}. Change the channels that later blocks "
                "read only when all blocks are there."
            ) from error

    def to_json(self) -> dict[str, Any]:
        """See `Change.to_json`."""
        return {"block": self.block.to_json(), "initial": digest_of(self.initial) if self.initial else None}
