"""The space `compact`: the default, small and quick to train on a CPU."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from kgrow.architecture import Architecture, Block, Cell, Head, Scaling
from kgrow.searching.space import SearchSpace, scaled_filters, unscaled

# Resolutions above this are brought down by the stem, so that cost stays near that of a 32x32 image.
STEM_SIDE = 40
SMALL_SIDE = 16
STEM_FILTERS = 16

# (filters, stride) of each cell, per block.
LARGE = (((32, 2), (32, 1)), ((32, 1),), ((32, 1), (56, 2)), ((56, 1),))
SMALL = (((16, 1),), ((24, 2),), ((32, 1),))


@dataclasses.dataclass(frozen=True)
class Compact(SearchSpace):
    """Residual cells, most of them where a connection is used most often.

    For 32x32x3 and ten classes: 178 016 kernel parameters and 25 M multiply-accumulates before pruning. The first
    cell halves the stem's map at once: time and memory would otherwise go into the full resolution. Four cells at
    half of it take 70 % of the work with two fifths of the connections. Small images (up to 16 pixels) keep their
    resolution and have a block less and narrower cells; large ones get a strided stem, so that a 96x96 photograph
    enters the first block as 24x24.
    """

    widths: tuple[float, ...] = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125)

    def build(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        scaling: Scaling | None = None,
        *,
        width: float = 1.0,
        links: str | None = None,
    ) -> Architecture:
        """See `SearchSpace.build`."""
        side = max(input_shape[:2])
        stem_stride = 2 ** max(0, math.ceil(math.log2(side / STEM_SIDE)))
        cells = [
            Cell(
                "conv",
                scaled_filters(STEM_FILTERS, width),
                kernel_size=3 if stem_stride == 1 else 2 * stem_stride - 1,
                stride=stem_stride,
            )
        ]
        plan = LARGE if side > SMALL_SIDE else SMALL
        architecture = Architecture(input_shape, num_classes, scaling or unscaled(input_shape[2]))
        for index, block in enumerate(plan):
            first = 0 if index == 0 else len(cells)
            cells += list(_residuals([(scaled_filters(filters, width), stride) for filters, stride in block], cells))
            head = Head(grid=1 if index == len(plan) - 1 else 2)
            architecture = architecture.grow(Block(tuple(cells[first:]), head))
        return architecture


def _residuals(block: Sequence[tuple[int, int]], before: Sequence[Cell]) -> Iterator[Cell]:
    filters_before, source = before[-1].filters, len(before) - 1
    for filters, stride in block:
        shortcut = "identity" if filters == filters_before else "projection"
        yield Cell("residual", filters, (source,), hidden_filters=filters, stride=stride, shortcut=shortcut)
        filters_before, source = filters, source + 1
