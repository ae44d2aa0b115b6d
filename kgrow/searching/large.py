"""The space `large`: more connections to prune from, for a phone or a small computer."""

from __future__ import annotations

import dataclasses

from kgrow.searching.residual import ResidualSpace, Stages

# (filters, stride) of each cell, per block.
BLOCKS = (((16, 1), (16, 1)), ((48, 2), (48, 1), (48, 1)), ((96, 2), (96, 1)), ((96, 1),))


@dataclasses.dataclass(frozen=True)
class Large(ResidualSpace):
    """Residual cells at three resolutions, wide where maps are small.

    For 32x32x3 and ten classes: 589 168 kernel parameters and 68 M multiply-accumulates before pruning, 2.7 times those
    of `compact`; training takes twice the time. Two thin cells at the full resolution process details that `compact`
    loses. Most connections are at low resolutions, where they are cheap, and pruning selects among them. The last
    resolution has two blocks, so that an exit comes shortly before the end. Sides above 40 pixels get a strided stem.
    """

    widths: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)

    def plan(self, side: int) -> Stages:
        """See `ResidualSpace.plan`."""
        return BLOCKS
