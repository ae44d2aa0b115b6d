"""`AppendBlock`: the network grows by a block."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from kgrow.graph import Architecture, Block
from kgrow.structure.change import Change, WeightMap


@dataclasses.dataclass(frozen=True)
class AppendBlock(Change):
    """Appends a block with fresh weights and all its connections; what is there does not change."""

    block: Block
    event: ClassVar[str] = "grew"

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """See `Change.apply`."""
        return architecture.grow(self.block), WeightMap()

    def to_json(self) -> dict[str, Any]:
        """See `Change.to_json`."""
        return {"block": self.block.to_json()}
