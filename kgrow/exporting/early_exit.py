"""`EarlyExit`: settings for answers before the last head of an exported classifier."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from kgrow._checks import check_bool
from kgrow._rules import check_fields, one_of, optional, within
from kgrow.graph import Architecture
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import FALLBACKS, ExitRule
from kgrow.network.exit_choice import candidates, choose_rule
from kgrow.task import Task


@dataclasses.dataclass(frozen=True)
class EarlyExit:
    """Settings of early exits: their threshold, their allowed loss, and their file format.

    Args:
        threshold: Smallest confidence to answer with, of all heads or of each before the last; chosen on the validation
            split by default.
        fallback: Head that answers if none reaches the threshold, see `ExitRule`; chosen on the validation split by
            default.
        max_loss: Largest loss of validation accuracy against the full network, in [0, 1]. The cheapest threshold that
            stays within it by a standard error is chosen; see `choose_rule`.
        max_cost: Largest ratio of mean multiply-accumulates to those of the full network, in (0, 1], instead of
            `max_loss`. The most accurate threshold within it is chosen.
        stages: Whether to write a file per stage instead of one file, for callers that loop or use delegates.
    """

    threshold: float | Sequence[float] | None = None
    _: dataclasses.KW_ONLY
    fallback: str | None = None
    max_loss: float = 0.005
    max_cost: float | None = None
    stages: bool = False

    def __post_init__(self) -> None:
        rules = {
            "fallback": optional(one_of(FALLBACKS)),
            "max_loss": within("[0, 1]", "For half a point pass 0.005."),
            "max_cost": optional(within("(0, 1]")),
            "stages": check_bool,
        }
        check_fields(self, rules)
        if self.threshold is not None:
            object.__setattr__(self, "threshold", self.rules()[0].threshold)

    def rules(self) -> list[ExitRule]:
        """Returns the rules left to choose from for a given threshold; an empty list without one."""
        if self.threshold is None:
            return []
        is_per_head = isinstance(ExitRule(self.threshold, "last").threshold, tuple)
        fallbacks = (self.fallback,) if self.fallback else ("last",) if is_per_head else FALLBACKS
        return [ExitRule(self.threshold, fallback) for fallback in fallbacks]

    def of_heads(self, exit_indices: Sequence[int]) -> EarlyExit:
        """Returns the settings for the heads that may answer, without the thresholds of other heads.

        Args:
            exit_indices: Heads that may answer, increasing.

        Raises:
            ValueError: If there is a threshold per head, but not one for each of these heads before the last.
        """
        if not isinstance(self.threshold, tuple):
            return self
        given = ExitRule(self.threshold, "last").thresholds(exit_indices[-1] + 1)
        return dataclasses.replace(self, threshold=[given[index] for index in exit_indices[:-1]])

    def resolve(
        self, network: GrowingNetwork, task: Task, exit_indices: Sequence[int], exported: Architecture
    ) -> ExitRule:
        """Returns the rule; missing parts are chosen on the validation split.

        Args:
            network: Network before the export.
            task: Data with the validation split.
            exit_indices: Heads that may answer, from the first on.
            exported: Architecture in the file, which determines the cost of an answer.
        """
        costs = [exported.macs(head, passing=exit_indices) for head in exit_indices]
        # A given threshold is used at any cost.
        most = self.max_cost if self.threshold is None else None
        whole = exported.macs(exit_indices[-1])
        if most is not None and costs[0] > most * whole:
            least = math.ceil(1000 * costs[0] / whole) / 1000
            raise ValueError(f"`max_cost` must be at least {least}, what the first head costs, but got {most}.")
        limit = None if most is None else most * whole
        logits = network.logits(np.asarray(task.validation.images))[list(exit_indices)]
        labels, fallbacks = task.validation.labels, (self.fallback,) if self.fallback else FALLBACKS
        rules = self.rules() or list(candidates(logits, labels, costs, fallbacks))
        return choose_rule(logits, labels, costs, rules, self.max_loss, limit)
