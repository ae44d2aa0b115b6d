"""The fixed set of keep ratios that is tried when none is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from kgrow.architecture import Architecture
from kgrow.pruning import kept_params
from kgrow.searching.limits import LimitError, Limits
from kgrow.searching.space import Candidate, SearchSpace

LARGEST = 0.5
# Of the largest keep ratio that the limits allow.
FRACTIONS = (1.0, 0.7, 0.5)


@dataclasses.dataclass(frozen=True)
class FixedHyperParameters:
    """Answers a space's choices with one keep ratio per block; where a search puts its own hyper-parameters."""

    keep_ratios: tuple[float, ...]

    def Float(self, name: str, min_value: float, max_value: float, **kwargs: Any) -> float:  # noqa: N802
        """Returns the ratio of the block that is named."""
        return self.keep_ratios[int(name.removeprefix("block_").removesuffix("/keep_ratio"))]


def candidates(
    space: SearchSpace,
    architecture: Architecture,
    keep_ratio: float | Sequence[float] | None,
    limits: Limits,
    scope: str,
) -> Iterator[Candidate]:
    """Yields what is to be tried: the given keep ratios, or a fixed set of uniform ones below the limits.

    Args:
        space: Makes candidates from ratios.
        architecture: What the network grows into.
        keep_ratio: One for all blocks, one per block, or None for the fixed set.
        limits: Candidates that break them are left out: they cost nothing.
        scope: What is ranked together when pruning; it decides how counts are rounded.

    Raises:
        LimitError: If no candidate is left; the message names the nearest feasible one.
    """
    num_blocks = len(architecture.blocks)
    if keep_ratio is None:
        largest = min(LARGEST, _largest_feasible(architecture, limits, scope))
        ratios = [(round(largest * fraction, 4),) * num_blocks for fraction in FRACTIONS]
    elif isinstance(keep_ratio, int | float):
        ratios = [(float(keep_ratio),) * num_blocks]
    elif len(keep_ratio) == num_blocks:
        ratios = [tuple(keep_ratio)]
    else:
        raise ValueError(
            f"`keep_ratio` must be one number or one for each of the {num_blocks} blocks, but got {keep_ratio!r}."
        )
    tried = [space.sample(FixedHyperParameters(values), architecture) for values in ratios]
    feasible = [c for c in tried if limits.allow(kept_params(architecture, c.keep_ratios, scope))]
    if not feasible:
        kept = min(kept_params(architecture, c.keep_ratios, scope) for c in tried)
        nearest = _largest_feasible(architecture, limits, scope)
        raise LimitError(
            f"`limits` must allow a candidate, but params <= {limits.params} excludes all {len(tried)}: the smallest "
            f"keeps {kept} of {architecture.kernel_params()}. The nearest feasible uniform keep ratio is {nearest:.4f}."
        )
    yield from feasible


def _largest_feasible(architecture: Architecture, limits: Limits, scope: str) -> float:
    if limits.params is None:
        return 1.0
    ratio = int(min(1.0, limits.params / architecture.kernel_params()) * 10_000) / 10_000
    kept = kept_params(architecture, (ratio,) * len(architecture.blocks), scope) if ratio else 0
    if kept == 0:
        raise LimitError(
            f"`limits` must leave at least 1 in 10 000 of {architecture.kernel_params()} connections, but params <= "
            f"{limits.params} does not. Choose a smaller space or a looser limit."
        )
    return ratio
