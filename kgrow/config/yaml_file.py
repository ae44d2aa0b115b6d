"""Reading and writing of YAML configuration files, with error messages."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

HEAD = "# `kgrow search DATA --config FILE` with this file gives the run again.\n"
LEFT = "# What is null was left to kgrow; config.json of the run has what it chose for the data.\n"
# Stands for an object that only Python can provide.
PYTHON = "python"
PARTLY = f"# What stands under `{PYTHON}` is the text of an object, which only Python can give again.\n"
# A number of YAML 1.2 such as 1e-2.
EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    """Rejects duplicate keys; YAML itself would keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Returns the mapping of a node."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # which is rejected as a key
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader` would not read as text."""


for _kind in (_Loader, _Dumper):  # YAML 1.1, which PyYAML follows, takes an exponent only after a point and with a sign
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+.0123456789"))


def read_yaml(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """Returns the mapping of a YAML file; an empty file gives an empty mapping.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not YAML, or not a mapping; the message has the line.
    """
    name = os.fspath(path)
    if not name or "\0" in name or not Path(name).is_file():
        raise FileNotFoundError(f"`config` must be the path of a YAML file, but there is no file {name!r}.")
    try:
        content = yaml.load(Path(name).read_text("utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"`config` must be a file of YAML, but in '{name}'{line} {error.problem}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"`config` must be a file of YAML, but '{name}' is none: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError(
            f"`config` must be a file with a mapping of sections, but '{name}' holds a {type(content).__name__}."
        )
    return content


def to_yaml(sections: dict[str, dict[str, Any]]) -> str:
    """Returns the text of a file."""
    text = yaml.dump(sections, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)
    return (PARTLY if f"{PYTHON}:" in text else HEAD) + LEFT + text
