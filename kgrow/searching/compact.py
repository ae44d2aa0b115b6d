"""The space `compact`: the default, small and fast to train on a CPU."""

from __future__ import annotations

import dataclasses

from kgrow.searching.residual import SMALL_SIDE, ResidualSpace, Stages

# (filters, stride) of each cell, per block.
LARGE = (((32, 2), (32, 1)), ((32, 1),), ((32, 1), (56, 2)), ((56, 1),))
SMALL = (((16, 1),), ((24, 2),), ((32, 1),))


@dataclasses.dataclass(frozen=True)
class Compact(ResidualSpace):
    """Residual cells, most of them where connections are used most often.

    For 32x32x3 and ten classes: 178 016 kernel parameters and 25 M multiply-accumulates before pruning. The first cell
    halves the stem's map immediately: most time and memory would otherwise be spent at the full resolution. Four cells
    at half of it take 70 % of the work with two fifths of the connections. Small images (up to 16 pixels) keep their
    resolution and have one block less and narrower cells; large ones get a strided stem, so that a 96x96 photograph
    enters the first block as 24x24.
    """

    widths: tuple[float, ...] = tuple(sixteenths / 16 for sixteenths in range(16, 1, -1))

    def plan(self, side: int) -> Stages:
        """See `ResidualSpace.plan`."""
        return LARGE if side > SMALL_SIDE else SMALL
