"""Networks of a stem and a chain of residual cells: the base of several spaces."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence

from kgrow.graph import Architecture, Cell, Scaling, of_cells
from kgrow.searching.space import SearchSpace, scaled_filters, stem_cell, unscaled, with_heads

# Images up to this side are not reduced before the first cell.
SMALL_SIDE = 16
STEM_FILTERS = 16

Stages = Sequence[Sequence[tuple[int, int]]]


class ResidualSpace(SearchSpace):
    """Networks of residual cells, each of which reads the one before; a subclass defines their blocks."""

    @abc.abstractmethod
    def plan(self, side: int) -> Stages:
        """Returns (filters, stride) of each cell, per block, for images with this larger side."""

    def stem(self, side: int) -> tuple[int, int]:
        """Returns the stem's filters, and its stride for small images."""
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
        filters, least = self.stem(side)
        cells = [stem_cell(scaled_filters(filters, width), side, least)]
        blocks: list[list[Cell]] = []
        for block in self.plan(side):
            first = len(cells) if blocks else 0
            cells += list(_residuals([(scaled_filters(filters, width), stride) for filters, stride in block], cells))
            blocks.append(cells[first:])
        return of_cells(input_shape, num_classes, scaling or unscaled(input_shape[2]), with_heads(blocks))


def _residuals(block: Sequence[tuple[int, int]], before: Sequence[Cell]) -> Iterator[Cell]:
    filters_before, source = before[-1].filters, len(before) - 1
    for filters, stride in block:
        shortcut = "identity" if filters == filters_before else "projection"
        yield Cell("residual", filters, (source,), hidden_filters=filters, stride=stride, shortcut=shortcut)
        filters_before, source = filters, source + 1
