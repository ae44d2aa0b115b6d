"""Conversion of configuration objects to plain values and back, for objects from Python in `config.yaml`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any

from kgrow._checks import check_name, nearest, plain
from kgrow._plugins import PluginError, Registry
from kgrow.config.removed import check_removed
from kgrow.config.yaml_file import PYTHON
from kgrow.registry import CURVATURES, ESTIMATORS, EXPERIMENTAL
from kgrow.run import described

NAME = "name"
# Registries of the objects that are fields of others, by the names of the fields.
NESTED = {"curvature": CURVATURES}
PLAIN = (str, int, float, bool, type(None))


def spelled(value: Any, table: Registry | None) -> Any:
    """Returns a value of a configuration in its YAML form; `built` reverses it.

    Args:
        value: A plain value, or an object.
        table: Registry of the objects that the field names.

    Returns:
        Plain values, lists and mappings. An object becomes a mapping of its class's name in the table, if it has one,
        and its fields, of which those in `NESTED` are objects too; an object without such a form becomes its text under
        the key `python`.
    """
    value = plain(value)
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | list):
        return [spelled(each, None) for each in value]
    return _spelled_object(value, table) if dataclasses.is_dataclass(value) else {PYTHON: described(value)}


def _spelled_object(value: Any, table: Registry | None) -> dict[str, Any]:
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    if table is None:
        return {name: spelled(each, None) for name, each in fields.items() if each is not None}
    if type(value) is table.base:
        return {name: spelled(each, None) for name, each in fields.items()}
    kept = {key: _spelled_field(key, each) for key, each in fields.items() if key in NESTED or _is_writable(each)}
    for place in (table, EXPERIMENTAL) if table is ESTIMATORS else (table,):
        for name in _names_of(type(value), place):
            usual = vars(_made(place, name, place.what))
            if all(key in kept or each == usual[key] for key, each in fields.items()):
                return {NAME: name, **kept}
    return {PYTHON: described(value)}


def _spelled_field(name: str, value: Any) -> Any:
    return value.to_json() if hasattr(value, "to_json") else spelled(value, NESTED.get(name))


def built(value: Mapping[str, Any], table: Registry, path: str) -> Any:
    """Returns the object that a mapping describes, such as `{"name": "snip", "reinitialize": True}`.

    Args:
        value: Mapping that `spelled` returned.
        table: Registry of the objects that the field names.
        path: Name used in messages.

    Raises:
        ValueError: If there is no such object, or it has no such field.
    """
    if PYTHON in value:
        raise ValueError(
            f"`{path}` must be given in Python, but is only the text of an object, {value[PYTHON]!r}. Pass the object."
        )
    fields = {key: _built_field(key, each, f"{path}.{key}") for key, each in value.items() if key != NAME}
    if NAME in value:
        if isinstance(value[NAME], str):
            check_removed(table.what, value[NAME], f"{path}.{NAME}")
        usual = _made(table, check_name(table, value[NAME], f"{path}.{NAME}"), path)
        make = usual if isinstance(usual, type) else functools.partial(dataclasses.replace, usual)
        return _with_fields(lambda: make(**fields), usual, fields, path)
    if not dataclasses.is_dataclass(table.base):
        raise ValueError(f"`{path}` must be a name, or a mapping with a `{NAME}` in it, but got {dict(value)!r}.")
    base: Any = table.base
    return _with_fields(lambda: base(**fields), base, fields, path)


def _built_field(name: str, value: Any, path: str) -> Any:
    if name in NESTED and isinstance(value, str):
        return _made(NESTED[name], check_name(NESTED[name], value, path), path)
    return built(value, NESTED[name], path) if name in NESTED and isinstance(value, Mapping) else _tupled(value)


def _with_fields(make: Any, kind: Any, fields: Mapping[str, Any], path: str) -> Any:
    known = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    for name in fields:
        if name not in known:
            others = f"Its fields are {', '.join(known)}." if known else "It has no fields."
            raise ValueError(f"`{path}.{name}` is unknown. {nearest(str(name), known) or others}")
    try:
        return make() if fields or isinstance(kind, type) else kind
    except TypeError as error:
        raise ValueError(f"`{path}` must have all fields that are needed, in their types: {error}") from error
    except ValueError as error:
        raise ValueError(f"`{path}`: {error}") from error


def _made(table: Registry, name: str, path: str) -> Any:
    """Returns an instance of the class of a name, or the class if it has required fields.

    Args:
        table: Registry of the objects.
        name: Name in it.
        path: Name used in messages.

    Raises:
        ValueError: If the object of the name depends on the data.
    """
    thing = table[name]
    if isinstance(thing, table.base):
        return thing
    if not inspect.isabstract(table.base):  # an entry that depends on the data has no fields until they are read
        raise ValueError(f"`{path}` must be a name or a mapping of fields, but got both, {name!r} and fields.")
    needed = [p for p in inspect.signature(thing).parameters.values() if p.default is p.empty]
    if inspect.isclass(thing) and needed:
        return thing  # its fields are required
    return thing(0) if needed else thing()


def _names_of(kind: type, table: Registry) -> list[str]:
    """Returns the names of the objects of a class; no other module is imported."""
    names = []
    for name, (entry, *_) in table.entries.items():
        if entry.target.startswith(f"{kind.__module__}:"):
            with contextlib.suppress(PluginError):
                names += [name] if kind in (made := _made(table, name, name), type(made)) else []
    return names


def _is_writable(value: Any) -> bool:
    """Returns whether the rule of a field takes its value as it is written."""
    return _is_plain(value) or hasattr(value, "to_json")


def _is_plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple | list) and all(map(_is_plain, value)))


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
