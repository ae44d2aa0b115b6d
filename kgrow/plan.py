"""`SearchPlan`: what a search trains."""

from __future__ import annotations

import dataclasses
from typing import Any

from kgrow.lifecycle import Settings
from kgrow.searching.choice import ACCURATE
from kgrow.searching.estimating import Estimator, Full
from kgrow.searching.objective import Objective
from kgrow.searching.proposals import Proposals

# Multiply-accumulates per training step below which one thread is faster than two.
SMALL_STEP_MACS = 100e6


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """The candidates and settings of a search.

    Args:
        proposals: Candidates within the limits.
        settings: Training settings.
        objective: Objective to maximize.
        oracle: Oracle that proposes the next trial: a name or a `keras_tuner.Oracle`.
        trials: Largest number of candidates to try.
        estimator: Estimator of a candidate's quality.
        calibrate: Whether the estimates are compared with full training.
        prefer: Preference between networks that accuracies cannot distinguish: one of `PREFERENCES`.
    """

    proposals: Proposals
    settings: Settings
    objective: Objective
    oracle: Any
    trials: int
    estimator: Estimator = dataclasses.field(default_factory=Full)
    calibrate: bool = False
    prefer: str = ACCURATE

    @property
    def is_small(self) -> bool:
        """Whether the steps of its largest network are so short that several threads wait more than they compute."""
        return self.step_macs < SMALL_STEP_MACS

    @property
    def step_macs(self) -> float:
        """Multiply-accumulates of its largest network for a batch."""
        largest = max(known.macs for _, known in self.proposals.variants.values())
        return float(largest * self.settings.preset.batch_size)
