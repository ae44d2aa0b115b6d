"""`LossPlateau`: appends a block when the loss no longer falls."""

from __future__ import annotations

import dataclasses
import statistics

from kgrow._checks import check_positive_int
from kgrow._rules import check_fields, within
from kgrow.structure.append_block import AppendBlock
from kgrow.structure.policy import StructurePolicy, StructureState


@dataclasses.dataclass(frozen=True)
class LossPlateau(StructurePolicy):
    """Appends the next block once the validation loss has not fallen for some epochs.

    The loss is the mean over the heads; it counts anew from each structural change, after which it is another one. If
    it goes on falling, the network stays as deep as it is.

    Args:
        patience: Epochs in a row without a fall that end the wait.
        tolerance: Fraction of the lowest loss by which it has to fall, in [0, 1).
        until: Fraction of the epochs after which nothing is appended, in (0, 1).

    References:
        Tartaglione et al., "SeReNe", 2021, https://arxiv.org/abs/2102.03773, section 3, stop with such a criterion;
        here a loss that is merely as low as before is no fall.
    """

    patience: int = 2
    tolerance: float = 0.01
    until: float = 0.5

    def __post_init__(self) -> None:
        rules = {"patience": check_positive_int, "tolerance": within("[0, 1)"), "until": within("(0, 1)")}
        check_fields(self, rules)

    def propose(self, state: StructureState) -> AppendBlock | None:
        """See `StructurePolicy.propose`."""
        if not state.architecture.blocks:
            return state.next_block
        is_over = state.epoch >= self.until * state.num_epochs
        return None if is_over or not self._is_flat(state) else state.next_block

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return state.next_block is None or state.epoch + 1 >= self.until * state.num_epochs

    def _is_flat(self, state: StructureState) -> bool:
        lowest, waited = float("inf"), 0
        for loss in losses_since_change(state):
            waited = 0 if loss < lowest * (1 - self.tolerance) else waited + 1
            lowest = min(lowest, loss)
        return waited >= self.patience


def losses_since_change(state: StructureState) -> list[float]:
    """Returns the mean validation loss over the heads after each epoch since the last structural change."""
    last = max((event["epoch"] for event in state.changes), default=0)
    return [statistics.fmean(event["val_loss"]) for event in state.epochs if event["epoch"] >= last]
