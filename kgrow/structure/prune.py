"""`Prune`: removes connections and whole channels that a criterion does not keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from kgrow._checks import check_keep_ratio
from kgrow.pruning import prune, prune_channels
from kgrow.pruning.criterion import priced
from kgrow.structure.change import Change, Scoring

if TYPE_CHECKING:
    from kgrow.network import GrowingNetwork


@dataclasses.dataclass(frozen=True)
class Prune(Change):
    """Prunes blocks to keep ratios: first channels, then the connections inside.

    Args:
        keep_ratios: Kept fraction of each block's connections, in (0, 1], by block index.
        channel_keep_ratios: Kept fraction of each block's channels, in (0, 1], by block index.
        price_share: Fraction of the criteria's `min_saliency`, in (0, 1]; see `PruningSchedule.price_share`.
    """

    keep_ratios: Mapping[int, float]
    channel_keep_ratios: Mapping[int, float] = dataclasses.field(default_factory=dict)
    price_share: float = 1.0
    event: ClassVar[str] = "pruned"

    def __post_init__(self) -> None:
        for field in ("keep_ratios", "channel_keep_ratios"):
            ratios = {int(block): check_keep_ratio(ratio, field) for block, ratio in getattr(self, field).items()}
            object.__setattr__(self, field, ratios)
        object.__setattr__(self, "price_share", check_keep_ratio(self.price_share, "price_share"))

    def remask(self, network: GrowingNetwork, scoring: Scoring) -> None:
        """See `Change.remask`."""
        missing = [block for block in self.keep_ratios if not 0 <= block < len(network.blocks)]
        if missing:
            raise ValueError(
                f"`keep_ratios` must be of blocks 0 to {len(network.blocks) - 1}, but got block {missing[0]}."
            )
        if self.channel_keep_ratios and scoring.channel_criterion is not None:
            channels = priced(scoring.channel_criterion, self.price_share)
            ratios, multiple = self.channel_keep_ratios, scoring.channel_multiple
            prune_channels(network, ratios, channels, scoring.batches, scoring.loss, multiple)
        criterion = priced(scoring.criterion, self.price_share)
        prune(network, self.keep_ratios, criterion, scoring.batches, scoring.loss, scoring.scope)

    def to_json(self) -> dict[str, Any]:
        """See `Change.to_json`."""
        ratios = (self.keep_ratios, self.channel_keep_ratios)
        keep, channels = ({str(block): ratio for block, ratio in sorted(each.items())} for each in ratios)
        return {"keep_ratios": keep, "channel_keep_ratios": channels, "price_share": self.price_share}
