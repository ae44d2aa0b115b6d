"""`Config`: all settings of a search, from keywords, from YAML and from the command line."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

from kgrow._checks import nearest
from kgrow._rules import Rule, optional
from kgrow.config.option import option_of
from kgrow.config.sections import Data, Export, Growth, Pruning, Training, Tuning
from kgrow.config.spelling import spelled
from kgrow.config.yaml_file import read_yaml, to_yaml

SECTIONS: dict[str, Any] = {kind.__name__.lower(): kind for kind in (Training, Growth, Pruning, Tuning, Export, Data)}
# Field of a section that a shorthand sets: a name or an object.
SHORTHAND = {
    "training": "preset",
    "growth": "space",
    "pruning": "criterion",
    "tuning": "oracle",
    "export": "quantize",
}
# Fields that `kgrow.search` takes as separate arguments.
FLAT = {
    "limits": "tuning",
    "device": "tuning",
    "space": "growth",
    "trials": "tuning",
    "epochs": "training",
    "max_time": "tuning",
    "seed": "training",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of a search; every section has defaults.

    Args:
        training: Settings of the networks' training.
        growth: Settings of the networks' growth.
        pruning: Settings of the pruning of connections and channels.
        tuning: Candidates to try, and their limits.
        export: Settings of the exported file.
        data: Settings for reading a named data set.

    Example:
        >>> config = Config.of({"pruning": "snip"}, {"training": {"epochs": 3}, "pruning": {"keep_ratio": 0.5}})
        >>> config.pruning.criterion, config.pruning.keep_ratio, config.training.epochs
        ('snip', 0.5, 3)
    """

    training: Training = dataclasses.field(default_factory=Training)
    growth: Growth = dataclasses.field(default_factory=Growth)
    pruning: Pruning = dataclasses.field(default_factory=Pruning)
    tuning: Tuning = dataclasses.field(default_factory=Tuning)
    export: Export = dataclasses.field(default_factory=Export)
    data: Data = dataclasses.field(default_factory=Data)

    @classmethod
    def of(cls, *layers: Any) -> Config:
        """Merges several layers of settings; a later one takes precedence.

        Args:
            layers: Layers, each the path of a YAML file, a `Config`, or a mapping of sections. A section is an object
                such as `Pruning("snip")`, which sets all its fields, a mapping of some fields, or a shorthand: a name
                or an object for the field in `SHORTHAND`. None sets nothing.

        Raises:
            ValueError: If a section or a field is unknown, or a value is not allowed; the message has its path.
            FileNotFoundError: If there is no such file.
        """
        merged: dict[str, dict[str, Any]] = {}
        for layer in layers:
            for section, given in _sections(layer).items():
                merged[section] = _merged(section, merged.get(section, {}), given)
        return cls(**{section: SECTIONS[section](**fields) for section, fields in merged.items()})

    def to_yaml(self) -> str:
        """Returns the text of a file that gives the same configuration."""
        return to_yaml(self.to_json())

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Returns plain values by section and field."""
        return {
            name: {
                field.name: spelled(getattr(section, field.name), option_of(field).table)
                for field in dataclasses.fields(section)
                if option_of(field).is_recorded
            }
            for name, section in vars(self).items()
        }


def flat_rules() -> dict[str, Rule]:
    """Returns the rules of the arguments in `FLAT`; None means that an argument is not given."""
    fields = {name: SECTIONS[section].__dataclass_fields__[name] for name, section in FLAT.items()}
    return {name: optional(option_of(field).rule) for name, field in fields.items()}


def sectioned(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns arguments of `FLAT` by their sections, without those that are None."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        if value is not None:
            found.setdefault(FLAT[name], {})[name] = value
    return found


def _sections(layer: Any) -> dict[str, Any]:
    if layer is None:
        return {}
    if isinstance(layer, Config):
        return dict(vars(layer))
    if isinstance(layer, str | os.PathLike):
        layer, place = read_yaml(layer), f" in '{os.fspath(layer)}'"
    elif isinstance(layer, Mapping):
        place = ""
    else:
        raise ValueError(
            f"`config` must be a `Config`, the path of a YAML file or a mapping of sections, but got {layer!r}."
        )
    for name in layer:
        if name not in SECTIONS:
            known = ", ".join(SECTIONS)
            message = f"`config` must have the sections {known}, but got {name!r}{place}. {_where(str(name))}"
            raise ValueError(message.rstrip())
    return {name: given for name, given in layer.items() if given is not None}


def _where(name: str) -> str:
    """Returns the place of a field that stands outside of a section, or the section whose name is similar."""
    owners = [section for section, field in _fields() if field == name]
    if owners:
        return f"Write it as a field of the section `{owners[0]}`."
    return nearest(name, SECTIONS)


def _fields() -> Iterator[tuple[str, str]]:
    return ((section, field.name) for section, kind in SECTIONS.items() for field in dataclasses.fields(kind))


def _merged(section: str, before: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """Returns the fields of a section after merging another layer."""
    kind = SECTIONS[section]
    if isinstance(given, kind):
        return dict(vars(given))
    if not isinstance(given, Mapping):
        if section not in SHORTHAND:
            raise ValueError(f"`{section}` must be a mapping of fields, but got {given!r}.")
        given = {SHORTHAND[section]: given}
    known = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in known:
            raise ValueError(f"`{section}.{name}` is no field. {_hint(str(name), section, known)}")
    merged = {**before, **given}
    if None not in (before.get("limits"), given.get("limits")):  # all limits apply, whichever layer sets them
        rule = option_of(kind.__dataclass_fields__["limits"]).rule
        earlier, later = (rule(layer["limits"], f"{section}.limits") for layer in (before, given))
        merged["limits"] = type(later)(**{**earlier.given, **later.given})
    return merged


def _hint(name: str, section: str, known: list[str]) -> str:
    others = [other for other, field in _fields() if field == name]
    if others:
        return f"It belongs to the section `{others[0]}`."
    return nearest(name, known) or f"Fields of `{section}` are {', '.join(known)}."
