"""The space `ladder`: plain convolutions, each of which halves the sides."""

from __future__ import annotations

import dataclasses

from kgrow.graph import Architecture, Cell, Scaling, of_cells
from kgrow.searching import SearchSpace
from kgrow.searching.space import scaled_filters, stem_cell, unscaled, with_heads

FILTERS = (16, 24, 32)


@dataclasses.dataclass(frozen=True)
class Ladder(SearchSpace):
    """A block per rung: one convolution of stride 2, and a head.

    Args:
        widths: See `SearchSpace`.
    """

    widths: tuple[float, ...] = (1.0, 0.5)

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
        first, *others = [scaled_filters(filters, width) for filters in FILTERS]
        rungs = [Cell("conv", filters, inputs=(number,), stride=2) for number, filters in enumerate(others)]
        blocks = [[cell] for cell in (stem_cell(first, max(input_shape[:2]), 1), *rungs)]
        return of_cells(input_shape, num_classes, scaling or unscaled(input_shape[2]), with_heads(blocks))
