"""`DepthSearch`: appends blocks as long as the newest one answers better than all before it."""

from __future__ import annotations

import dataclasses

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._rules import check_fields, optional, within
from kgrow.structure.append_block import AppendBlock
from kgrow.structure.cut import Cut
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.uncertainty import SIGNIFICANCE, p_value


@dataclasses.dataclass(frozen=True)
class DepthSearch(StructurePolicy):
    """Grows in steps, and compares the newest head with the best one before it, on the same validation images.

    A block is accepted if it gives more correct answers by at least `gain` of the images, and McNemar's test says that
    this is more than chance. After as many rejected blocks in a row as patience allows, the network is cut after its
    best head and keeps this depth.

    Args:
        epochs: Epochs that a block is trained before it is judged; None for a tenth of the run's. A block that could
            not be judged within the run is not appended.
        gain: Least gain, as a fraction of the validation images, in [0, 1).
        patience: Rejected blocks in a row that end the search.
        significance: Largest probability that chance explains a gain, in (0, 1].

    References:
        Kaya, Hong and Dumitras, "Shallow-Deep Networks", ICML 2019, section 5.1, cut a network after the head that
        answers best.
    """

    epochs: int | None = None
    gain: float = 0.002
    patience: int = 1
    significance: float = SIGNIFICANCE

    def __post_init__(self) -> None:
        rules = {
            "epochs": optional(check_positive_int),
            "gain": within("[0, 1)"),
            "patience": check_positive_int,
            "significance": within("(0, 1]"),
        }
        check_fields(self, rules)

    def propose(self, state: StructureState) -> AppendBlock | Cut | None:
        """See `StructurePolicy.propose`."""
        depth = len(state.architecture.blocks)
        if not depth:
            return state.next_block
        if state.epoch != self._judged_at(state) or self._is_cut(state):
            return None
        following = state.next_block if state.epoch + self._trained(state) < state.num_epochs else None
        if depth > 1:
            rejected, best = self._rejected(state.statistics.answers())
            if rejected and (rejected >= self.patience or following is None):
                return Cut(best + 1)
        return following

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        judged_at = self._judged_at(state)
        return self._is_cut(state) or state.epoch >= judged_at or judged_at >= state.num_epochs

    def _trained(self, state: StructureState) -> int:
        """Returns how many epochs a block is trained before it is judged."""
        return self.epochs or max(1, round(state.num_epochs / 10))

    def _judged_at(self, state: StructureState) -> int:
        """Returns the epoch before which the newest block is judged."""
        return state.births[-1] + self._trained(state)

    @staticmethod
    def _is_cut(state: StructureState) -> bool:
        return any(event["event"] == "cut" for event in state.changes)

    def _rejected(self, answers: np.ndarray) -> tuple[int, int]:
        """Returns how many heads at the end are no better than the best one before them, and the number of that one."""
        best = 0
        for head in range(1, len(answers)):
            if self._is_better(answers[head], answers[best]):
                best = head
        return len(answers) - 1 - best, best

    def _is_better(self, new: np.ndarray, old: np.ndarray) -> bool:
        gain = float(np.mean(new) - np.mean(old))
        return gain > 0 and gain >= self.gain and p_value(new, old) <= self.significance
