"""The space `ladder`: plain convolutions, each of which halves the sides; the first one starts as an edge detector."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

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
        **choices: Any,
    ) -> Architecture:
        """See `SearchSpace.build`."""
        first, *others = [scaled_filters(filters, width) for filters in FILTERS]
        rungs = [Cell("conv", filters, inputs=(number,), stride=2) for number, filters in enumerate(others)]
        blocks = [[cell] for cell in (stem_cell(first, max(input_shape[:2]), 1), *rungs)]
        return of_cells(input_shape, num_classes, scaling or unscaled(input_shape[2]), with_heads(blocks))

    def initial(self, architecture: Architecture, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `SearchSpace.initial`: filters of many frequencies and directions."""
        first = architecture.kernels()[0]
        height, width, channels, filters = first.kernel_shape
        rows, columns = np.mgrid[:height, :width] - (np.array([height, width])[:, None, None] - 1) / 2
        angles, waves = np.arange(filters) * np.pi / filters, 1 + np.arange(filters) % 3
        along = rows[..., None] * np.sin(angles) + columns[..., None] * np.cos(angles)
        kernel = np.cos(waves * along) * np.exp(-(rows**2 + columns**2) / height)[..., None]
        kernel -= kernel.mean(axis=(0, 1))
        return {f"{first.name}/kernel": np.repeat(kernel[:, :, None], channels, axis=2).astype(np.float32)}
