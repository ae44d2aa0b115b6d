"""The space `flexible`: networks like those of `compact`, whose parts are chosen one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow.searching.compact import Compact


@dataclasses.dataclass(frozen=True)
class Flexible(Compact):
    """Chains of cells with a choice of their kind, their inner width, their kernels, the stem's stride and each width.

    The first of each choice gives `compact`; the others are for searches of many trials. What a limit binds decides
    what helps: an early stride saves memory, inverted cells save multiply-accumulates, and widths decide on which
    resolution the bytes are spent. One more factor, on all widths, brings each network to the limits.
    """

    def choices(self, input_shape: tuple[int, int, int]) -> Mapping[str, Sequence[Any]]:
        """See `SearchSpace.choices` and `ResidualSpace`."""
        return {
            "cell": ("residual", "inverted"),
            "expansion": (1.0, 0.5, 1.5),
            "kernel_size": (3, 5),
            "stem_stride": (1, 2),
            **{f"block_{index}/width": (1.0, 0.75, 1.5) for index in range(len(self.plan(max(input_shape[:2]))))},
        }
