"""The space `cascade`: for early exits, with most of its work after the first of them."""

from __future__ import annotations

import dataclasses

from kgrow.searching.residual import SMALL_SIDE, ResidualSpace, Stages

# (filters, stride) of each cell, per block.
BLOCKS = (((32, 1),), ((64, 2), (64, 1)), ((96, 1), (96, 1)), ((96, 1), (96, 1)))
STEM_FILTERS = 32


@dataclasses.dataclass(frozen=True)
class Cascade(ResidualSpace):
    """Residual cells after a stem that halves the resolution: few before the first head, and wide ones after it.

    For 32x32x3 and ten classes: 801 056 kernel parameters and 54 M multiply-accumulates before pruning; its heads are
    at 9, 25, 61 and 100 % of the work. An exit saves the work after it. The first head therefore comes early, many
    layers follow for the images that need them, and no layer works at the full resolution, where 8-bit kernels are slow
    for their work. Small images (up to 16 pixels) keep their resolution; the stem reduces sides above 80 pixels
    further.
    """

    widths: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)

    def plan(self, side: int) -> Stages:
        """See `ResidualSpace.plan`."""
        return BLOCKS

    def stem(self, side: int) -> tuple[int, int]:
        """See `ResidualSpace.stem`."""
        return STEM_FILTERS, 2 if side > SMALL_SIDE else 1
