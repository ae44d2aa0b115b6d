"""Checks of JSON values against declared types."""

from __future__ import annotations

import dataclasses
import functools
import math
import reprlib
import types
import typing
from typing import Any, Union

NAMES = {str: "a string", int: "an integer", float: "a finite number", bool: "true or false", dict: "an object"}


def decoded(kind: Any, value: Any, field: str = "") -> Any:
    """Returns a JSON value as a declared type.

    Args:
        kind: A type hint (plain types, `X | None`, `tuple[X, ...]`, `list[X]`, `dict[str, X]`, `Any`), or a dataclass,
            which is built from an object, by its own `from_json(value, field)` if it has one; or a dictionary of kinds
            by field, a list of one kind, or a tuple of alternatives (plain types, None, and one other kind). The last
            three leave the value as it is.
        value: Value that a JSON parser returned.
        field: Position of the value, such as "best.trial".

    Raises:
        ValueError: If it is not of that type; the message names the field.

    Example:
        >>> decoded({"trial": str, "epochs": [int]}, {"trial": "0003", "epochs": [4, 2.5]})
        Traceback (most recent call last):
        ...
        ValueError: `epochs[1]` must be an integer, but got 2.5.
    """
    if kind is Any:
        return value
    alternatives = _alternatives(kind)
    if alternatives:
        return _one_of(alternatives, value, field)
    if isinstance(kind, dict):
        return _record(kind, value, field)
    if dataclasses.is_dataclass(kind):
        return _built(kind, value, field)
    origin = list if isinstance(kind, list) else typing.get_origin(kind)
    if origin in (list, tuple):
        return _sequence(kind, value, field)
    if origin is dict:
        entry = typing.get_args(kind)[1]
        return {key: decoded(entry, part, _inner(field, key)) for key, part in _object(value, field).items()}
    if not _is_plain(kind, value):
        raise _wrong(field, NAMES[kind], value)
    return value


def fields_of(kind: Any) -> dict[str, Any]:
    """Returns the kinds of a dataclass by field, as written by `dataclasses.asdict`; no field may be missing."""
    hints = _hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def is_nested(value: Any, most_levels: int) -> bool:
    """Returns whether a JSON value has more than `most_levels` levels."""
    level = [value]
    for _ in range(most_levels):
        lists = (part.values() if isinstance(part, dict) else part if isinstance(part, list) else () for part in level)
        level = [inner for parts in lists for inner in parts]
        if not level:
            return False
    return True


def _alternatives(kind: Any) -> tuple[Any, ...]:
    if isinstance(kind, tuple):
        return kind
    return typing.get_args(kind) if typing.get_origin(kind) in (Union, types.UnionType) else ()


def _one_of(kinds: tuple[Any, ...], value: Any, field: str) -> Any:
    if value is None and (None in kinds or types.NoneType in kinds):
        return None
    others = [kind for kind in kinds if kind not in (None, types.NoneType)]
    plain = [kind for kind in others if isinstance(kind, type) and kind in NAMES]
    if any(_is_plain(kind, value) for kind in plain):
        return value
    compound = [kind for kind in others if kind not in plain]
    if compound and (not plain or isinstance(value, dict | list)):
        return decoded(compound[0], value, field)
    raise _wrong(field, " or ".join([NAMES[kind] for kind in plain] + ["null"] * (len(others) < len(kinds))), value)


def _record(kinds: dict[str, Any], value: Any, field: str) -> Any:
    _object(value, field)
    for name, kind in kinds.items():
        if name not in value:
            raise ValueError(f"`{_inner(field, name)}` must be given, but is missing.")
        decoded(kind, value[name], _inner(field, name))
    return value


def _built(kind: Any, value: Any, field: str) -> Any:
    if hasattr(kind, "from_json"):  # the class has its own JSON form
        return kind.from_json(value, field)
    kinds = fields_of(kind)
    for name in _object(value, field):
        if name not in kinds:
            raise ValueError(f"`{_inner(field, name)}` must be left out: there is no such field.")
    for needed in dataclasses.fields(kind):
        has_default = (needed.default, needed.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        if needed.name not in value and not has_default:
            raise ValueError(f"`{_inner(field, needed.name)}` must be given, but is missing.")
    parts = {name: decoded(kinds[name], part, _inner(field, name)) for name, part in value.items()}
    try:
        return kind(**parts)
    except (ValueError, ArithmeticError, LookupError) as error:
        raise ValueError(f"`{field or kind.__name__}` cannot be: {error}") from error


def _sequence(kind: Any, value: Any, field: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _wrong(field, "a list", value)
    entries = tuple(kind) if isinstance(kind, list) else typing.get_args(kind)
    is_tuple = typing.get_origin(kind) is tuple
    if is_tuple and entries[-1] is not Ellipsis:
        if len(entries) != len(value):
            raise _wrong(field, f"a list of {len(entries)}", value)
    else:
        entries = (entries[0],) * len(value)
    parts = [
        decoded(entry, part, f"{field}[{index}]")
        for index, (entry, part) in enumerate(zip(entries, value, strict=True))
    ]
    return tuple(parts) if is_tuple else parts


def _is_plain(kind: Any, value: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of more than 308 digits
        return False


def _object(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(field, "an object", value)
    return value


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _inner(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _wrong(field: str, expected: str, value: Any) -> ValueError:
    what = f"`{field}`" if field else "It"
    return ValueError(f"{what} must be {expected}, but got {reprlib.repr(value)}.")
