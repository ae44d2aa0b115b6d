"""Rules that check the arguments of a public call before it does anything."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from kgrow._checks import check_name, check_number, check_path

P = ParamSpec("P")
R = TypeVar("R")
# Maps a given argument and its name to the value that the call uses; raises an error that names the argument.
Rule = Callable[[Any, str], Any]


def checked(rules: Mapping[str, Rule]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Returns a decorator that replaces the arguments of a call by the results of their rules.

    Defaults are not checked.

    Args:
        rules: Rules for all parameters, by parameter name. Rules without a parameter are ignored, so that calls that
            share parameters can share rules.

    Example:
        >>> from kgrow._checks import check_positive_int
        >>> @checked({"epochs": check_positive_int})
        ... def train(epochs=3):
        ...     return epochs
        >>> train(epochs="many")
        Traceback (most recent call last):
        ...
        ValueError: `epochs` must be a positive integer, but got 'many'.
    """

    def decorate(call: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(call)

        @functools.wraps(call)
        def checking(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                given = signature.bind(*args, **kwargs)
            except TypeError:
                return call(*args, **kwargs)  # let Python report missing or unknown arguments
            for name, value in given.arguments.items():
                if name in rules:
                    given.arguments[name] = rules[name](value, name)
            return call(*given.args, **given.kwargs)

        return checking

    return decorate


def check_fields(record: Any, rules: Mapping[str, Rule]) -> None:
    """Checks the fields of a frozen dataclass and replaces them by the results of their rules."""
    for name, rule in rules.items():
        object.__setattr__(record, name, rule(getattr(record, name), name))


def optional(rule: Rule) -> Rule:
    """Returns a rule that also accepts None."""
    return lambda value, name: None if value is None else rule(value, name)


def one_of(names: Iterable[str]) -> Rule:
    """Returns a rule that accepts one of the given names."""
    return lambda value, name: check_name(names, value, name)


def name_or_path(names: Iterable[str]) -> Rule:
    """Returns a rule that accepts one of the given names, or the path of what exists."""

    def check(value: Any, name: str) -> str:
        if not isinstance(value, str | os.PathLike) or value in list(names):
            return check_name(names, value, name)
        path = check_path(value, name)
        if os.path.exists(path):
            return path
        if os.path.dirname(path) or os.path.splitext(path)[1]:
            raise FileNotFoundError(f"`{name}` must be a name or the path of a model, but there is no {path!r}.")
        return check_name(names, path, name)

    return check


def within(interval: str, hint: str = "") -> Rule:
    """Returns a rule that accepts the numbers of an interval, such as "(0, 1]"; see `check_number`."""
    return lambda value, name: check_number(value, name, interval, hint)


def several(rule: Rule) -> Rule:
    """Returns a rule that accepts a sequence, each value of which satisfies another rule, and returns a tuple."""

    def check(value: Any, name: str) -> tuple[Any, ...]:
        is_sequence = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        if not is_sequence and getattr(value, "ndim", 0) != 1:
            raise ValueError(f"`{name}` must be a sequence, but got {value!r}.")
        return tuple(rule(each, name) for each in value)

    return check


def instance_of(*kinds: type, as_said: str | None = None) -> Rule:
    """Returns a rule that accepts instances of the given classes.

    Args:
        kinds: Accepted classes.
        as_said: Description of the classes in the message; by default their names.
    """

    def rule(value: Any, name: str) -> Any:
        if not isinstance(value, kinds):
            expected = as_said or " or ".join(f"a `{kind.__name__}`" for kind in kinds)
            raise ValueError(f"`{name}` must be {expected}, but got {value!r}.")
        return value

    return rule
