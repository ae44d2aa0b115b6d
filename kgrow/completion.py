"""Completion of the command line in a shell: commands, options, names and paths."""

from __future__ import annotations

import argparse
import dataclasses

from kgrow.arguments import parser
from kgrow.config import SECTIONS, option_of

# Arguments by destination that are files or directories.
FILES = ("growth.start", "growth.weights", "config", "out", "path")
DIRECTORIES = ("run", "runs", "dataset", "data_dir", "directory", "data.data_dir")


def completion_of(shell: str) -> str:
    """Returns a script that completes `kgrow` in a shell.

    Args:
        shell: One of `kgrow.arguments.SHELLS`.

    Raises:
        ImportError: If shtab is not installed; the message names the extra.
    """
    try:
        import shtab
    except ImportError as error:
        raise ImportError("`kgrow completion` needs shtab: pip install 'kgrow[completion]'") from error
    top = parser(shows_all=True)
    names = {
        f"{section}.{field.name}": option_of(field).known
        for section, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
    }
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            if names.get(action.dest) and action.option_strings and action.choices is None:
                action.choices = names[action.dest]  # only proposed here: other values are parsed too
            elif action.dest in FILES:
                action.complete = shtab.FILE
            elif action.dest in DIRECTORIES:
                action.complete = shtab.DIRECTORY
    return str(shtab.complete(top, shell=shell))
