"""`Option`: what a field of a configuration says of itself; the command line and the documentation are made of it."""

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
    """What is known of one field.

    Args:
        help: A phrase that says what it is; the names it accepts and its default are added.
        rule: Checks a value and returns it as it is used.
        flag: The option of the command line in place of the field's name; empty if it has none.
        brief: A shorter phrase, with which the option is among those that `--help` shows.
        metavar: What the help calls its value; by default NAME where it has names, else N.
        parse: Makes a value of the text on the command line.
        is_repeated: Whether the option may be given several times; `parse` gets the list of its texts.
        table: The things that it names.
        names: What it accepts where that is no table.
        is_recorded: Whether a run's `config.yaml` holds it.
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
        """The names that it accepts, those of plug-ins too."""
        return self.names if self.table is None else tuple(self.table)

    @property
    def own(self) -> tuple[str, ...]:
        """Those of kgrow itself."""
        return self.names if self.table is None else self.table.own


def option(default: Any, text: str, rule: Rule | None = None, **options: Any) -> Any:
    """Returns a field of a section.

    Args:
        default: What it is if it is not given.
        text: See `Option.help`.
        rule: See `Option.rule`; by default that of its table or of its names. None passes where it is the default.
        options: More of `Option`.
    """
    table, names = options.get("table"), options.get("names")
    chosen = rule or (named(table) if table is not None else one_of(names or ()))
    checks = optional(chosen) if default is None else chosen
    return dataclasses.field(default=default, metadata={METADATA: Option(text, checks, **options)})


def option_of(field: dataclasses.Field[Any]) -> Option:
    """Returns what a field says of itself."""
    return field.metadata[METADATA]


def flag_of(field: dataclasses.Field[Any]) -> str:
    """Returns the option of a field on the command line, such as `--keep-ratio`; empty if it has none."""
    flag = option_of(field).flag
    return f"--{field.name.replace('_', '-')}" if flag is None else flag


def named(table: Registry) -> Rule:
    """Returns the rule that a value is a name of a table, a mapping that describes an object, or such an object.

    A name is not imported: see `kgrow.registry`.
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
    """Checks the fields of a section, which become what their rules return; a message names the path of the field."""
    name = type(section).__name__.lower()
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if value is not field.default:
            checked = option_of(field).rule(value, f"{name}.{field.name}")
            object.__setattr__(section, field.name, checked)
