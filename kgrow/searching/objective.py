"""`Objective`: the number that a search maximizes, computed from accuracy and cost."""

from __future__ import annotations

import abc
import dataclasses

from kgrow._checks import lookup
from kgrow._rules import check_fields, within
from kgrow.registry import OBJECTIVES

# Name of the metric that the search reports to the oracle.
NAME = "objective"


class Objective(abc.ABC):
    """A reward; higher is better.

    Attributes:
        counts_energy: Whether a smaller network may have a higher reward than an equally accurate larger one.
    """

    counts_energy: bool = True

    @abc.abstractmethod
    def reward(self, accuracy: float, energy: float) -> float:
        """Returns the reward of a candidate.

        Args:
            accuracy: Accuracy of the last head on the validation split, in [0, 1].
            energy: Multiply-accumulates as a fraction of those of the largest network of the space, in [0, 1].
        """


@dataclasses.dataclass(frozen=True)
class Accuracy(Objective):
    """The accuracy alone: costs within the limits do not count."""

    counts_energy = False

    def reward(self, accuracy: float, energy: float) -> float:
        """See `Objective.reward`."""
        return accuracy


@dataclasses.dataclass(frozen=True)
class Mixed(Objective):
    r"""A weighted difference: :math:`\alpha \, accuracy - (1 - \alpha) \, energy`.

    Args:
        alpha: Weight of the accuracy, in [0, 1].
    """

    alpha: float

    def __post_init__(self) -> None:
        check_fields(self, {"alpha": within("[0, 1]")})

    def reward(self, accuracy: float, energy: float) -> float:
        """See `Objective.reward`."""
        return self.alpha * accuracy - (1.0 - self.alpha) * energy


@dataclasses.dataclass(frozen=True)
class EnergyConstraint(Objective):
    """The accuracy if the cost is below a threshold, else 0.

    Args:
        threshold: Cost threshold, in [0, 1]; a cost equal to it is too high.
    """

    threshold: float

    def __post_init__(self) -> None:
        check_fields(self, {"threshold": within("[0, 1]")})

    def reward(self, accuracy: float, energy: float) -> float:
        """See `Objective.reward`."""
        return accuracy if energy < self.threshold else 0.0


@dataclasses.dataclass(frozen=True)
class AccuracyConstraint(Objective):
    """The saved cost if the accuracy is above a threshold, else 0.

    Args:
        threshold: Accuracy threshold, in [0, 1]; an accuracy equal to it is too low.
    """

    threshold: float

    def __post_init__(self) -> None:
        check_fields(self, {"threshold": within("[0, 1]")})

    def reward(self, accuracy: float, energy: float) -> float:
        """See `Objective.reward`."""
        return 1.0 - energy if accuracy > self.threshold else 0.0


def chosen_objective(given: str | Objective, what: str = "objective") -> Objective:
    """Returns the objective of `accuracy`, of a name and its number, such as `mixed:0.9`, or a given objective.

    Raises:
        ValueError: If it is none of these, its name is unknown, or the number is missing or invalid.
    """
    if isinstance(given, Objective):
        return given
    name, _, number = str(given).partition(":")
    kind = lookup(OBJECTIVES, name, what)
    if kind is Accuracy and not number:
        return Accuracy()
    try:
        return kind(float(number))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{what}` must be 'accuracy', or a name and a fraction such as 'mixed:0.9', but got {given!r}."
        ) from error
