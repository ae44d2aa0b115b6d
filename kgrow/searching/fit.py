"""`Fit`: what of a network fits within the limits."""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Sequence

from kgrow.graph import Architecture
from kgrow.searching.footprint import Costs, costs
from kgrow.searching.limits import LimitError, Limits

# Depth and width of a network.
Variant = tuple[int, float]

PRECISION = 10_000  # ratios lowered to the limits are multiples of 1 / PRECISION


@dataclasses.dataclass(frozen=True)
class Fit:
    """Limits, and the conditions under which networks are held against them.

    Args:
        limits: Limits to satisfy.
        keep_ratios: Fixed keep ratios, one per block; None if they may be lowered.
        scope: Scope of the ranking in pruning.
        quantization: Format of the file to which the limits apply.
        input_dtype: Type of the pixels that the file reads.
    """

    limits: Limits
    keep_ratios: tuple[float, ...] | None
    scope: str
    quantization: str
    input_dtype: str

    def costs(self, architecture: Architecture) -> Costs:
        """Returns the costs of a network."""
        return costs(architecture, self.quantization, self.input_dtype)

    def is_possible(self, architecture: Architecture) -> bool:
        """Returns whether a network satisfies the limits at some keep ratios."""
        return not self.limits.exceeded(self._least(architecture))

    def lowered(self, ratios: tuple[float, ...], known: Costs) -> tuple[float, ...]:
        """Returns ratios lowered by the largest common factor with which the kept connections satisfy their limit.

        Args:
            ratios: Keep ratios, one per block.
            known: Costs of the network.
        """
        most = self.limits.given.get("params")
        if most is None or known.footprint(ratios, self.scope).params <= most:
            return ratios
        floors = self._smallest_ratios(known)

        def params(factor: int) -> int:
            return known.footprint(_times(ratios, factor, floors), self.scope).params

        return _times(ratios, bisect.bisect_right(range(1, PRECISION), most, key=params), floors)

    def _smallest_ratios(self, known: Costs) -> tuple[float, ...]:
        """Returns the ratio per block that leaves each kernel a connection; one without any cuts the network in two."""
        shares = (1 / min(sizes) if self.scope == "layer" else len(sizes) / sum(sizes) for sizes in known.kernels)
        return tuple(math.ceil(share * PRECISION) / PRECISION for share in shares)

    def _least(self, architecture: Architecture) -> dict[str, int]:
        """Returns the smallest footprint of an architecture."""
        known = self.costs(architecture)
        given = self.keep_ratios and self.keep_ratios[: len(architecture.blocks)]
        return vars(known.footprint(given or self._smallest_ratios(known), self.scope))

    def nearest_miss(self, offered: Sequence[tuple[Variant, Architecture]], size: int) -> LimitError:
        """Returns the error for networks none of which is possible: it names the nearest one.

        Args:
            offered: Networks by depth and width.
            size: Connections of the largest one.
        """
        given = self.limits.given

        def excess(figures: dict[str, int]) -> float:
            return max(figures[name] / limit for name, limit in given.items() if name in figures)

        (depth, width), nearest = min(
            ((variant, self._least(architecture)) for variant, architecture in offered), key=lambda it: excess(it[1])
        )
        broken = ", ".join(f"{name} {nearest[name]} > {given[name]}" for name in self.limits.exceeded(nearest))
        message = (
            f"`limits` must allow a candidate of the space, but the nearest one ({depth} "
            f"{'block' if depth == 1 else 'blocks'}, width {width:g}) breaks {broken}. "
        )
        message += "Loosen them, or choose smaller images or another space."
        most = self.limits.given.get("params")
        if self.keep_ratios is not None and min(self.keep_ratios) < 1 and most is not None:
            uniform = int(min(1.0, most / size) * PRECISION) / PRECISION
            message += f" Of its {size} connections a uniform keep ratio of {uniform:.4f} would fit."
        return LimitError(message)


def _times(ratios: Sequence[float], factor: int, floors: Sequence[float]) -> tuple[float, ...]:
    """Returns ratios times factor / PRECISION, rounded down to multiples of 1 / PRECISION, none below its floor."""
    lowered = (int(ratio * factor + 1e-9) / PRECISION for ratio in ratios)
    return tuple(map(max, lowered, floors))
