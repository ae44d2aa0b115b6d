"""Rules of fields that check more than a number or a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kgrow._checks import check_name, check_positive, plain
from kgrow.config.option import named
from kgrow.config.spelling import NAME, built
from kgrow.registry import ESTIMATORS, EXPERIMENTAL, OBJECTIVES, ORACLES
from kgrow.searching.limits import devices
from kgrow.searching.objective import chosen_objective

CLASS_WEIGHTS = ("auto", "balanced", "none")
PRECISIONS = ("auto", "float32", "bfloat16")


def check_class_weight(value: Any, name: str) -> str | dict[str | int, float]:
    """Returns the name of a rule for the weights of classes, or the weights of some of them as plain floats.

    Raises:
        ValueError: If it is neither; whether the classes exist is checked when the data are read.
    """
    if isinstance(value, Mapping):
        return {each: check_positive(plain(weight), f"{name}[{each!r}]") for each, weight in value.items()}
    return "none" if value is None else check_name(CLASS_WEIGHTS, value, name)


def check_device(value: Any, name: str) -> str:
    """Returns the name of a listed device."""
    return check_name(devices(), value, name)


def check_estimator(value: Any, name: str) -> Any:
    """Returns the name of an estimator, or an estimator.

    Raises:
        ValueError: If it is neither, or the name of an experimental estimator; these are told by a mapping of fields.
    """
    if isinstance(value, str) and value in EXPERIMENTAL:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, ESTIMATORS))}, but got {value!r}, which is experimental: no "
            "bench has shown that it ranks candidates as full training does. In Python pass "
            f"`kgrow.searching.estimating.{EXPERIMENTAL[value]!r}`."
        )
    if isinstance(value, Mapping) and value.get(NAME) in tuple(EXPERIMENTAL):
        return built(value, EXPERIMENTAL, name)
    return named(ESTIMATORS)(value, name)


def check_objective(value: Any, name: str) -> Any:
    """Returns an objective, or the text of one such as `mixed:0.9`."""
    if isinstance(value, Mapping):
        return built(value, OBJECTIVES, name)
    chosen_objective(value, name)
    return value


def check_oracle(value: Any, name: str) -> Any:
    """Returns the name of an oracle, or a `keras_tuner.Oracle`."""
    if isinstance(value, str):
        return named(ORACLES)(value, name)
    from kgrow.searching import oracles  # KerasTuner is slow to import

    oracles.check_oracle(value, name)
    return value
