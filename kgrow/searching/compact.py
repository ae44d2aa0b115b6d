"""The space `compact`: the default, small and quick to train on a CPU."""

from __future__ import annotations

import dataclasses
import math

from kgrow.architecture import Architecture, Block, Cell, Head, Scaling
from kgrow.searching.space import SearchSpace, unscaled

# Resolutions above this are brought down by the stem, so that cost stays near that of a 32x32 image.
STEM_SIDE = 40


@dataclasses.dataclass(frozen=True)
class Compact(SearchSpace):
    """Residual cells, one per block, that halve the resolution while the maps are large and then double in width.

    For 32x32x3 and ten classes: 172 808 kernel parameters and 18 M multiply-accumulates before pruning. The first
    cell halves the stem's map at once: half of a step's time would otherwise go into the full resolution. Small images
    (up to 16 pixels) keep their resolution there and have a block less and narrower cells; large ones get a strided
    stem, so that a 96x96 photograph enters the first block as 24x24.
    """

    def build(
        self, input_shape: tuple[int, int, int], num_classes: int, scaling: Scaling | None = None
    ) -> Architecture:
        """See `SearchSpace.build`."""
        side = max(input_shape[:2])
        stem_stride = 2 ** max(0, math.ceil(math.log2(side / STEM_SIDE)))
        stem = Cell("conv", 24 if side > 16 else 16, kernel_size=3 if stem_stride == 1 else 2 * stem_stride - 1)
        stem = dataclasses.replace(stem, stride=stem_stride)
        # (filters, stride) per block
        plan = ((32, 2), (32, 1), (64, 2), (64, 1)) if side > 16 else ((16, 1), (24, 2), (32, 1))
        architecture = Architecture(input_shape, num_classes, scaling or unscaled(input_shape[2]))
        filters_before = stem.filters
        for index, (filters, stride) in enumerate(plan):
            cell = Cell(
                "residual",
                filters,
                inputs=(index,),
                hidden_filters=filters,
                stride=stride,
                shortcut="identity" if filters == filters_before else "projection",
            )
            cells = (stem, cell) if index == 0 else (cell,)
            head = Head(grid=1 if index == len(plan) - 1 else 2)
            architecture = architecture.grow(Block(cells, head))
            filters_before = filters
        return architecture
