"""`EarlyExit`: how an exported classifier decides to answer before its last head."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_bool, check_number
from kgrow._rules import check_fields, one_of, optional
from kgrow.graph import Architecture
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import FALLBACKS, ExitRule
from kgrow.network.exit_choice import candidates, choose_rule
from kgrow.task import Task


@dataclasses.dataclass(frozen=True)
class EarlyExit:
    """What an early answer may cost, and how it is shipped.

    Args:
        threshold: Smallest confidence to answer with, of all heads or of each before the last; by default it is chosen
            on the validation split.
        fallback: Which head answers if none reaches it, see `ExitRule`; by default that is chosen there too.
        max_loss: Accuracy that may be lost there against the full network, in [0, 1]: the cheapest threshold that keeps
            within it by a standard error; see `choose_rule`.
        max_cost: Mean multiply-accumulates over those of the full network, in (0, 1], in place of `max_loss`: the most
            accurate threshold within it.
        stages: Whether to write a file per stage, for callers that loop or use delegates, in place of one file.
    """

    threshold: float | Sequence[float] | None = None
    _: dataclasses.KW_ONLY
    fallback: str | None = None
    max_loss: float = 0.005
    max_cost: float | None = None
    stages: bool = False

    def __post_init__(self) -> None:
        rules = {"max_loss": _check_max_loss, "max_cost": optional(_check_max_cost), "stages": check_bool}
        check_fields(self, {"fallback": optional(one_of(FALLBACKS)), **rules})
        if self.threshold is not None:
            object.__setattr__(self, "threshold", self.rules()[0].threshold)

    def rules(self) -> list[ExitRule]:
        """Returns those that a given threshold leaves to choose from, none without one."""
        if self.threshold is None:
            return []
        is_per_head = isinstance(ExitRule(self.threshold, "last").threshold, tuple)
        fallbacks = (self.fallback,) if self.fallback else ("last",) if is_per_head else FALLBACKS
        return [ExitRule(self.threshold, fallback) for fallback in fallbacks]

    def of_heads(self, exit_indices: Sequence[int]) -> EarlyExit:
        """Returns the same for the heads that may answer: without the thresholds of others.

        Args:
            exit_indices: Those heads, increasing.

        Raises:
            ValueError: If there is a threshold per head, but not one for each before the last of them.
        """
        if not isinstance(self.threshold, tuple):
            return self
        given = ExitRule(self.threshold, "last").thresholds(exit_indices[-1] + 1)
        return dataclasses.replace(self, threshold=[given[index] for index in exit_indices[:-1]])

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
            least = math.ceil(1000 * costs[0] / whole) / 1000
            raise ValueError(f"`max_cost` must be at least {least}, what the first head costs, but got {most}.")
        limit = None if most is None else most * whole
        logits = network.logits(np.asarray(task.validation.images))[list(exit_indices)]
        labels, fallbacks = task.validation.labels, (self.fallback,) if self.fallback else FALLBACKS
        rules = self.rules() or list(candidates(logits, labels, costs, fallbacks))
        return choose_rule(logits, labels, costs, rules, self.max_loss, limit)


def _check_max_loss(value: Any, name: str) -> float:
    return check_number(value, name, "[0, 1]", "For half a point pass 0.005.")


def _check_max_cost(value: Any, name: str) -> float:
    return check_number(value, name, "(0, 1]")
