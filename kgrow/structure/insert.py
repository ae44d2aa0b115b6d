"""`InsertIdentity`: makes the network deeper without changing its outputs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from kgrow._checks import check_positive_int
from kgrow.graph import Architecture, Block, Node
from kgrow.graph.operators import Conv
from kgrow.structure.change import Change, WeightMap


@dataclasses.dataclass(frozen=True)
class InsertIdentity(Change):
    """Inserts a convolution that returns its input (Net2DeeperNet without an activation).

    Args:
        after: Name of a node that returns a map; all its readers read the convolution instead.
        name: Name of the convolution.
        side: Side of its kernel, odd.

    References:
        Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016,
        https://arxiv.org/abs/1511.05641, section 2.4.
    """

    after: str
    name: str
    side: int = 3
    event: ClassVar[str] = "inserted"

    def __post_init__(self) -> None:
        object.__setattr__(self, "side", check_positive_int(self.side, "side"))
        if not re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_./-]*", self.name):
            raise ValueError(f"`name` must be letters, digits, '_', '.', '-' and '/', but got {self.name!r}.")

    def apply(self, architecture: Architecture) -> tuple[Architecture, WeightMap]:
        """See `Change.apply`."""
        shape = architecture.shapes[self.after] if self.after in architecture.by_name else ()
        if len(shape) != 3 or self.side % 2 == 0:
            raise ValueError(
                f"`after` must give a map and `side` be odd, but {self.after} gives {shape}, and the side is "
                f"{self.side}."
            )
        kernel = np.zeros((self.side, self.side, shape[2], shape[2]), np.float32)
        kernel[self.side // 2, self.side // 2] = np.eye(shape[2])
        inserted = Node(self.name, Conv((self.side, self.side), filters=shape[2]), (self.after,))
        blocks = (
            Block(self._moved(block.nodes, inserted), self._moved(block.head, inserted))
            for block in architecture.blocks
        )
        return dataclasses.replace(architecture, blocks=tuple(blocks)), WeightMap(given={f"{self.name}/kernel": kernel})

    def _moved(self, nodes: Sequence[Node], inserted: Node) -> tuple[Node, ...]:
        found: list[Node] = []
        for node in nodes:
            inputs = tuple(self.name if source == self.after else source for source in node.inputs)
            found.append(dataclasses.replace(node, inputs=inputs))
            if node.name == self.after:
                found.append(inserted)
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """See `Change.to_json`."""
        return dataclasses.asdict(self)
