"""`ByEvidence`: the fields of criteria that score by the evidence of the data."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, TypeVar

from kgrow._rules import check_fields, within
from kgrow.bayes import Curvature, MonteCarloFisher
from kgrow.bayes.recursion import check_curvature

Self = TypeVar("Self", bound="ByEvidence")  # available in typing from Python 3.11 on


@dataclasses.dataclass(frozen=True)
class ByEvidence:
    """A price and an estimator of the curvature; scores are in nats per example.

    Args:
        min_saliency: Price of what is scored, in nats per example: what has less evidence is removed.
        curvature: Estimator of the curvature, in `kgrow.bayes`.
    """

    min_saliency: float = 0.0
    curvature: Curvature = dataclasses.field(default_factory=MonteCarloFisher)
    in_nats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        hint = "It is a price in nats per example, such as 1 / (number of training images)."
        check_fields(self, {"min_saliency": within("[0, inf)", hint)})
        check_curvature(self.curvature)

    @classmethod
    def drawing(cls: type[Self], seed: int) -> Self:
        """Returns the criterion with a seed for the draws of its curvature estimate."""
        return cls(curvature=MonteCarloFisher(seed=seed))
