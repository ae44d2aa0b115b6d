"""Contract tests of every implementation of an interface; pytest runs a subclass that names the implementation.

Example:
    >>> from kgrow.pruning import Magnitude
    >>> from kgrow.testing import CriterionContract
    >>> class TestMagnitude(CriterionContract):
    ...     criterion = Magnitude()
"""

import importlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kgrow.testing.criterion import CriterionContract
    from kgrow.testing.estimator import EstimatorContract
    from kgrow.testing.exporter import ExporterContract
    from kgrow.testing.operator import OperatorContract
    from kgrow.testing.policy import PolicyContract
    from kgrow.testing.space import SpaceContract

__all__ = [
    "CriterionContract",
    "EstimatorContract",
    "ExporterContract",
    "OperatorContract",
    "PolicyContract",
    "SpaceContract",
]

pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("criterion", "estimator", "exporter", "operator", "policy", "space"))
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    module = name.removesuffix("Contract").lower()
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
