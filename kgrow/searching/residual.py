"""Networks that are a stem and one residual cell after the other: what `compact` and `resnet` have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from kgrow.architecture import Architecture, Block, Cell, Head, Scaling
from kgrow.searching.space import scaled_filters, unscaled

# Up to this side images are not reduced before the first cell.
SMALL_SIDE = 16
# Resolutions above this are brought down by the stem, so that cost stays near that of a 32x32 image.
STEM_SIDE = 40
STEM_FILTERS = 16

Plan = Sequence[Sequence[tuple[int, int]]]


def residual_network(
    input_shape: tuple[int, int, int],
    num_classes: int,
    scaling: Scaling | None,
    plan: Plan,
    width: float,
    stem: tuple[int, int] = (STEM_FILTERS, 1),
) -> Architecture:
    """Builds a network of residual cells, each of which reads the one before.

    Args:
        input_shape: (height, width, channels) of the images; a side above 40 pixels gets a strided stem.
        num_classes: Number of classes.
        scaling: Of raw pixels; none by default.
        plan: (filters, stride) of each cell, per block.
        width: Factor on all numbers of filters.
        stem: Its filters, and its stride for images that need none.

    Returns:
        The network, whose last head pools to one position and the others to 2x2.
    """
    filters, least = stem
    stride = max(least, 2 ** math.ceil(math.log2(max(input_shape[:2]) / STEM_SIDE)))
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
