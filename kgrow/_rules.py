"""Rules that check the arguments of a public call where they enter, before it does anything."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from kgrow._checks import lookup

P = ParamSpec("P")
R = TypeVar("R")
# Returns an argument as the call uses it, from what was given and its name; raises an error that names it.
Rule = Callable[[Any, str], Any]


def checked(
    rules: Mapping[str, Rule], removed: Mapping[str, str] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Returns a decorator by which a call gets its arguments as its rules return them.

    Defaults are not checked: they are right.

    Args:
        rules: By the names of the parameters, every one of them; what has a rule too many here is ignored, so that
            calls that share parameters can share rules.
        removed: Parameters of an earlier version, and a sentence about what has taken the place of each.

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
                for name in kwargs.keys() & (removed or {}).keys():
                    raise TypeError(f"`{name}` is no argument any more. {(removed or {})[name]}") from None
                return call(*args, **kwargs)  # Python says best which argument is missing or unknown
            for name, value in given.arguments.items():
                if name in rules:
                    given.arguments[name] = rules[name](value, name)
            return call(*given.args, **given.kwargs)

        return checking

    return decorate


def check_fields(record: Any, rules: Mapping[str, Rule]) -> None:
    """Checks the fields of a frozen dataclass, which become what their rules return."""
    for name, rule in rules.items():
        object.__setattr__(record, name, rule(getattr(record, name), name))


def optional(rule: Rule) -> Rule:
    """Returns the rule that lets None pass too."""
    return lambda value, name: None if value is None else rule(value, name)


def one_of(names: Iterable[str]) -> Rule:
    """Returns the rule that an argument is one of some names."""
    table = {name: name for name in names}
    return lambda value, name: lookup(table, value, name)


def instance_of(*kinds: type, as_said: str | None = None) -> Rule:
    """Returns the rule that an argument is an instance of one of some classes.

    Args:
        kinds: The classes.
        as_said: What the message calls them; by default their names.
    """

    def rule(value: Any, name: str) -> Any:
        if not isinstance(value, kinds):
            expected = as_said or " or ".join(f"a `{kind.__name__}`" for kind in kinds)
            raise ValueError(f"`{name}` must be {expected}, but got {value!r}.")
        return value

    return rule


def name_or_instance(names: Iterable[str], kind: type) -> Rule:
    """Returns the rule that an argument is one of some names, or an instance of a class.

    Args:
        names: The names.
        kind: The class.
    """
    known = list(names)
    named, instance = (
        one_of(known),
        instance_of(kind, as_said=f"one of {', '.join(map(repr, known))} or a `{kind.__name__}`"),
    )
    return lambda value, name: (named if isinstance(value, str) else instance)(value, name)
