"""`GradientNoise`: appends a block when the gradients of the newest one are noise."""

from __future__ import annotations

import dataclasses

from kgrow._rules import check_fields, within
from kgrow.structure.append_block import AppendBlock
from kgrow.structure.policy import StructurePolicy, StructureState
from kgrow.structure.statistics import check_num_examples


@dataclasses.dataclass(frozen=True)
class GradientNoise(StructurePolicy):
    """Appends the next block once the newest one has learned what it can: its gradients are like those of noise.

    The statistic is derived for plain gradient descent at a fixed batch; here it is compared before each epoch, on new
    training images, with normalization as in inference. A network whose gradients never become noise stays as deep as
    it is.

    Args:
        threshold: Statistic above which a block has finished, at most 1; the source's is 0, for networks near their
            optimum. In a short training no block comes so near.
        num_examples: Number of training images whose single gradients are computed, at least 8.
        until: Fraction of the epochs after which nothing is appended, in (0, 1).

    References:
        Mahsereci, Balles, Lassner and Hennig, "Early Stopping without a Validation Set", 2017,
        https://arxiv.org/abs/1703.09580, equation 7.
    """

    threshold: float = 0.0
    num_examples: int = 256
    until: float = 0.5

    def __post_init__(self) -> None:
        rules = {"threshold": within("(-inf, 1]"), "num_examples": check_num_examples, "until": within("(0, 1)")}
        check_fields(self, rules)

    def propose(self, state: StructureState) -> AppendBlock | None:
        """See `StructurePolicy.propose`."""
        newest = len(state.architecture.blocks) - 1
        if newest < 0:
            return state.next_block
        is_over = state.next_block is None or state.epoch >= self.until * state.num_epochs
        if is_over or state.epoch == state.births[-1]:
            return None
        noise = state.statistics.gradient_noise((newest,), self.num_examples)
        return state.next_block if noise > self.threshold else None

    def is_settled(self, state: StructureState) -> bool:
        """See `StructurePolicy.is_settled`."""
        return state.next_block is None or state.epoch + 1 >= self.until * state.num_epochs
