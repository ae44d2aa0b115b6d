"""Networks of a stem and a chain of cells: the base of several spaces."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow.graph import Architecture, Cell, Scaling, of_cells
from kgrow.searching.space import SearchSpace, scaled_filters, stem_cell, unscaled, with_heads

# Images up to this side are not reduced before the first cell.
SMALL_SIDE = 16
STEM_FILTERS = 16
# Channels of an inverted cell's depthwise convolution per channel that it reads.
WIDENING = 4

Stages = Sequence[Sequence[tuple[int, int]]]


class ResidualSpace(SearchSpace):
    """Networks of residual cells, each of which reads the one before; a subclass defines their blocks.

    A subclass may offer as `choices`:

    - `cell`: `"residual"` or `"inverted"`; see `Cell`;
    - `expansion`: factor on the inner width of each cell, which is that of its output in a residual cell, and four
      times that of its input in an inverted one;
    - `kernel_size`: side of the cells' kernels, odd;
    - `stem_stride`: factor on the stride of the stem;
    - `block_N/width`: factor on the filters of block N.
    """

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
        **choices: Any,
    ) -> Architecture:
        """See `SearchSpace.build`."""
        side = max(input_shape[:2])
        filters, least = self.stem(side)
        cells = [stem_cell(scaled_filters(filters, width), side, least, choices.get("stem_stride", 1))]
        blocks: list[list[Cell]] = []
        for index, block in enumerate(self.plan(side)):
            first, factor = len(cells) if blocks else 0, width * choices.get(f"block_{index}/width", 1.0)
            for filters, stride in block:
                cells.append(_cell(cells, scaled_filters(filters, factor), stride, choices))
            blocks.append(cells[first:])
        return of_cells(input_shape, num_classes, scaling or unscaled(input_shape[2]), with_heads(blocks))


def _cell(before: Sequence[Cell], filters: int, stride: int, choices: Mapping[str, Any]) -> Cell:
    """Returns the cell that follows others."""
    read, kind = before[-1].filters, choices.get("cell", "residual")
    if kind == "inverted":
        shortcut, inner = "identity" if (read, stride) == (filters, 1) else "none", WIDENING * read
    else:
        shortcut, inner = "identity" if read == filters else "projection", filters
    return Cell(
        kind,
        filters,
        (len(before) - 1,),
        hidden_filters=scaled_filters(inner, choices.get("expansion", 1.0)),
        kernel_size=choices.get("kernel_size", 3),
        stride=stride,
        shortcut=shortcut,
    )
