"""The spaces `seed_dense` and `seed_plain`: the published network, 16 filters wide, grown in four blocks."""

from __future__ import annotations

import dataclasses

from kgrow.architecture import Architecture, Block, Cell, Head, Scaling
from kgrow.searching.space import SearchSpace, unscaled

FILTERS = 16
CELLS_PER_BLOCK = (3, 3, 2, 1)


@dataclasses.dataclass(frozen=True)
class Seed(SearchSpace):
    """A stem, nine residual cells and a tail convolution at one resolution; heads after cells 3, 6, 8 and the tail.

    The counts of kernel parameters are exact for 32x32x3 images and ten classes: densely connected 169 392 in blocks
    of 25 008, 47 872, 45 568 and 50 944; plain 54 448. Where the counts leave a choice open (down-sampling, pooling
    before or after the activation), the network does not down-sample and classifies what the last ReLU gives.

    Args:
        join: `"concat"` or `"add"`: each cell reads the stem's and all earlier cells' maps; `"none"`: the last map.
    """

    join: str = "concat"

    def build(
        self, input_shape: tuple[int, int, int], num_classes: int, scaling: Scaling | None = None
    ) -> Architecture:
        """See `SearchSpace.build`."""
        architecture = Architecture(input_shape, num_classes, scaling or unscaled(input_shape[2]))
        number = 1
        for index, count in enumerate(CELLS_PER_BLOCK):
            cells = [Cell("conv", FILTERS)] if index == 0 else []
            for _ in range(count):
                cells.append(self._residual(number))
                number += 1
            if index == len(CELLS_PER_BLOCK) - 1:
                cells.append(Cell("conv", FILTERS, **self._reads(number)))
            architecture = architecture.grow(Block(tuple(cells), Head(grid=4)))
        return architecture

    def _reads(self, number: int) -> dict:
        if self.join == "none" or number == 1:
            return {"inputs": (number - 1,)}
        return {"inputs": tuple(range(number)), "join": self.join}

    def _residual(self, number: int) -> Cell:
        projected = self.join == "concat" and number > 1
        shortcut = "projection" if projected else "identity"
        return Cell("residual", FILTERS, hidden_filters=FILTERS, shortcut=shortcut, **self._reads(number))
