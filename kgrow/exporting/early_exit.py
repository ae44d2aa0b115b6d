"""`EarlyExit`: how an exported classifier decides to answer before its last head."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow.architecture import Architecture
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import ALL_THRESHOLDS, FALLBACKS, ExitRule, choose_rule
from kgrow.task import Task


@dataclasses.dataclass(frozen=True)
class EarlyExit:
    """What an early answer may cost, and how it is shipped.

    Args:
        threshold: Smallest confidence to answer with; by default it is chosen on the validation split.
        fallback: Which head answers if none reaches it, see `ExitRule`; by default that is chosen there too.
        max_loss: Accuracy that may be lost there against the full network, in [0, 1]: the cheapest threshold within it.
        max_cost: Mean multiply-accumulates over those of the full network, in (0, 1], in place of `max_loss`: the most
            accurate threshold within it.
        stages: Whether to write a file per stage, for callers that loop or use delegates, in place of one file.
    """

    threshold: float | None = None
    _: dataclasses.KW_ONLY
    fallback: str | None = None
    max_loss: float = 0.005
    max_cost: float | None = None
    stages: bool = False

    def __post_init__(self) -> None:
        ExitRule(self.threshold or 0.0, self.fallback or FALLBACKS[0])  # checks them
        if not 0 <= self.max_loss <= 1:
            raise ValueError(f"`max_loss` must be in [0, 1], but got {self.max_loss!r}. For half a point pass 0.005.")
        if self.max_cost is not None and not 0 < self.max_cost <= 1:
            raise ValueError(f"`max_cost` must be in (0, 1], but got {self.max_cost!r}.")

    def resolve(
        self, network: GrowingNetwork, task: Task, exit_indices: Sequence[int], exported: Architecture
    ) -> ExitRule:
        """Returns the rule, chosen on the validation split as far as it is not given.

        Args:
            network: As it was before the export.
            task: Gives the validation split.
            exit_indices: The heads that may answer, from the first on.
            exported: What is left of its architecture in the file, which is what an answer costs.
        """
        costs = [exported.macs(head, passing=exit_indices) for head in exit_indices]
        # A threshold that is given is taken, whatever it costs.
        most = self.max_cost if self.threshold is None else None
        whole = exported.macs(exit_indices[-1])
        if most is not None and costs[0] > most * whole:
            raise ValueError(
                f"`max_cost` must be at least {costs[0] / whole:.3g}, what the first head costs, but got {most}."
            )
        limit = None if most is None else most * whole
        logits = network.logits(np.asarray(task.validation.images))[list(exit_indices)]
        thresholds = ALL_THRESHOLDS if self.threshold is None else (self.threshold,)
        fallbacks = FALLBACKS if self.fallback is None else (self.fallback,)
        return choose_rule(logits, task.validation.labels, costs, self.max_loss, limit, thresholds, fallbacks)
