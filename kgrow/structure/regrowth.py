"""`Regrowth`: exchanges connections after they were pruned."""

from __future__ import annotations

import dataclasses

from kgrow._rules import check_fields, one_of, within
from kgrow.registry import REGROWTHS
from kgrow.structure.exchange import Exchange
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.training import half_cosine


@dataclasses.dataclass(frozen=True)
class Regrowth(StructurePolicy):
    """Exchanges connections before each epoch, from the first pruning event on.

    The exchanged fraction falls on a cosine to zero. With a schedule of several events this is gradual pruning with
    regrowth after each (Liu et al., "Sparse Training via Boosting Pruning Plasticity with Neuroregeneration", NeurIPS
    2021, https://arxiv.org/abs/2106.10404).

    Args:
        grown_by: What comes back; see `Exchange`.
        fraction: Fraction of the connections that would be exchanged at the start of the training, in (0, 1).
        until: Fraction of the epochs after which nothing is exchanged any more, in (0, 1).
        seed: Random seed of what is drawn.

    References:
        See `Exchange`. The fractions are those of RigL, which exchanges every 100 steps.
    """

    grown_by: str = "gradient"
    fraction: float = 0.3
    until: float = 0.75
    seed: int = 0

    def __post_init__(self) -> None:
        fractions = dict.fromkeys(("fraction", "until"), within("(0, 1)"))
        check_fields(self, {"grown_by": one_of(REGROWTHS), **fractions})

    def propose(self, state: StructureState) -> Exchange | None:
        """See `StructurePolicy.propose`."""
        if self.is_settled(state) or not any(event["event"] == "pruned" for event in state.changes):
            return None
        fraction = self.fraction * half_cosine(state.epoch / (self.until * state.num_epochs))
        change = Exchange(fraction, self.grown_by, self.seed * state.num_epochs + state.epoch)
        return None if state.has_made(change) else change

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return state.epoch >= self.until * state.num_epochs
