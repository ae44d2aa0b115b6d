"""Networks that are a stem and one residual cell after the other: what several spaces have in common."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator, Sequence

from kgrow.architecture import Architecture, Block, Cell, Head, Scaling
from kgrow.searching.space import SearchSpace, scaled_filters, unscaled

# Up to this side images are not reduced before the first cell.
SMALL_SIDE = 16
# Resolutions above this are brought down by the stem, so that cost stays near that of a 32x32 image.
STEM_SIDE = 40
STEM_FILTERS = 16

Plan = Sequence[Sequence[tuple[int, int]]]


class ResidualSpace(SearchSpace):
    """Networks of residual cells, each of which reads the one before; a subclass says what their blocks are.

    A side above 40 pixels gets a strided stem. The last head pools to one position the others to 2x2 or 3x3.
    """

    @abc.abstractmethod
    def plan(self, side: int) -> Plan:
        """Returns (filters, stride) of each cell, per block, for images whose larger side this is."""

    def stem(self, side: int) -> tuple[int, int]:
        """Returns the stem's filters, and its stride for images that need none."""
        return STEM_FILTERS, 1

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
        plan, (filters, least) = self.plan(side), self.stem(side)
        stride = max(least, 2 ** math.ceil(math.log2(side / STEM_SIDE)))
        kernel_size = max(3, 2 * stride - 1)
        cells = [Cell("conv", scaled_filters(filters, width), kernel_size=kernel_size, stride=stride)]
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
