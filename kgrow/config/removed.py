"""Spellings of kgrow 0.1, and what they are now."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from kgrow._checks import nearest
from kgrow.config.config import FLAT, SECTIONS

P = ParamSpec("P")
R = TypeVar("R")
OF_TASK = ("validation_data", "test_data", "validation_split", "image_size", "data_dir", "class_names")
# Options of the command line.
OPTIONS = {"--max-params": "--limit params=N"}


def spelled_now(name: str) -> str:
    """Returns how an argument of `kgrow.search` in 0.1 is given now; empty if there was none of that name."""
    if name in OF_TASK:
        return f"kgrow.search(kgrow.Task.of(..., {name}=...))"
    for section, kind in SECTIONS.items():
        if name in kind.__dataclass_fields__ and name not in FLAT:
            call = f"kgrow.{kind.__name__}({name}=...)"
            return f"config={{'{section}': {call}}}" if section in ("growth", "export") else f"{section}={call}"
    return ""


def refusing_removed(call: Callable[P, R]) -> Callable[P, R]:
    """Returns a call that says what an argument of 0.1 is now, and which name an unknown one is near."""
    known = [name for name in inspect.signature(call).parameters]

    @functools.wraps(call)
    def checking(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                now = spelled_now(name)
                hint = f"Since kgrow 0.2 it is `{now}`." if now else nearest(name, known)
                raise TypeError(f"`{name}` is no argument of `{call.__name__}`. {hint}".rstrip())
        return call(*args, **kwargs)

    return checking
