"""`Option`: metadata of a configuration field, from which the command line and the documentation are generated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from kgrow._checks import check_name
from kgrow._plugins import Registry
from kgrow._rules import Rule, one_of, optional
from kgrow.config.removed import check_removed
from kgrow.config.spelling import built

METADATA = "option"


@dataclasses.dataclass(frozen=True)
class Option:
    """Metadata of one field.

    Args:
        help: Phrase that describes the field; the names it accepts and its default are added.
        rule: Function that checks a value and returns it in the form used.
        flag: Option of the command line instead of the field's name; empty if there is none.
        brief: Shorter phrase; an option with it is listed by `--help`.
        metavar: Name of its value in the help; by default NAME if the field takes names, else N.
        parse: Function that makes a value of the text on the command line.
        is_repeated: Whether the option may be given several times; `parse` then gets the list of its texts.
        table: Registry of the objects that it names.
        names: Accepted names if there is no table.
        is_recorded: Whether a run's `config.yaml` contains it.
    """

    help: str
    rule: Rule
    flag: str | None = None
    brief: str = ""
    metavar: str = ""
    parse: Callable[[Any], Any] = str
    is_repeated: bool = False
    table: Registry | None = None
    names: tuple[str, ...] = ()
    is_recorded: bool = True

    @property
    def known(self) -> tuple[str, ...]:
        """The accepted names, including those of plug-ins."""
        return self.names if self.table is None else tuple(self.table)

    @property
    def own(self) -> tuple[str, ...]:
        """The accepted names of kgrow itself."""
        return self.names if self.table is None else self.table.own


def option(default: Any, text: str, rule: Rule | None = None, **options: Any) -> Any:
    """Returns a field of a section.

    Args:
        default: Default value.
        text: Help text; see `Option.help`.
        rule: Rule for values; see `Option.rule`. By default it is that of the table or of the names. None is accepted
            if it is the default.
        options: Further fields of `Option`.
    """
    table, names = options.get("table"), options.get("names")
    chosen = rule or (named(table) if table is not None else one_of(names or ()))
    checks = optional(chosen) if default is None else chosen
    return dataclasses.field(default=default, metadata={METADATA: Option(text, checks, **options)})


def option_of(field: dataclasses.Field[Any]) -> Option:
    """Returns the metadata of a field."""
    return field.metadata[METADATA]


def flag_of(field: dataclasses.Field[Any]) -> str:
    """Returns the option of a field on the command line, such as `--keep-ratio`; empty if it has none."""
    flag = option_of(field).flag
    return f"--{field.name.replace('_', '-')}" if flag is None else flag


def named(table: Registry) -> Rule:
    """Returns a rule that accepts a name of a table, a mapping that describes an object, or such an object.

    A name is not imported; see `kgrow.registry`.
    """

    def rule(value: Any, name: str) -> Any:
        if isinstance(value, str):
            check_removed(table.what, value, name)
            return check_name(table, value, name)
        if isinstance(value, Mapping):
            return built(value, table, name)
        if not isinstance(value, table.base):
            names = ", ".join(map(repr, table))
            raise ValueError(f"`{name}` must be one of {names} or a `{table.base_name}`, but got {value!r}.")
        return value

    return rule


def check_section(section: Any) -> None:
    """Checks the fields of a section and replaces them by their rules' results; messages name the field's path."""
    name = type(section).__name__.lower()
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if value is not field.default:
            checked = option_of(field).rule(value, f"{name}.{field.name}")
            object.__setattr__(section, field.name, checked)
