"""`ResizeImages`: lets the network read images of another size."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from kgrow._checks import check_positive_int
from kgrow.graph import Architecture
from kgrow.graph.image_size import at_image_size
from kgrow.structure.change import Change, WeightMap


@dataclasses.dataclass(frozen=True)
class ResizeImages(Change):
    """Changes the size of the images that the network reads; all its weights stay.

    Args:
        size: Height and width in pixels.
    """

    size: tuple[int, int]
    event: ClassVar[str] = "resized"

    def __post_init__(self) -> None:
        if not isinstance(self.size, Sequence) or len(self.size) != 2:
            raise ValueError(f"`size` must be (height, width), but got {self.size!r}.")
        height, width = (check_positive_int(side, "size") for side in self.size)
        object.__setattr__(self, "size", (height, width))

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """See `Change.apply`."""
        return at_image_size(architecture, self.size), WeightMap()

    def to_json(self) -> dict[str, Any]:
        """See `Change.to_json`."""
        return {"size": list(self.size)}
