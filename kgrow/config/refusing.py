"""Refusal of arguments that `kgrow.search` took in 0.1, with their replacements."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from kgrow._checks import nearest
from kgrow.config.config import FLAT, SECTIONS
from kgrow.config.removed import OF_TASK, PYTHON

P = ParamSpec("P")
R = TypeVar("R")


def spelled_now(name: str) -> str:
    """Returns a sentence on the replacement of a 0.1 argument of `kgrow.search`; empty if there was none."""
    if name == "cluster":
        return PYTHON
    if name in OF_TASK:
        return f"Since kgrow 0.2 it is `kgrow.search(kgrow.Task.of(..., {name}=...))`."
    for section, kind in SECTIONS.items():
        if name in kind.__dataclass_fields__ and name not in FLAT:
            call = f"kgrow.{kind.__name__}({name}=...)"
            call = f"config={{'{section}': {call}}}" if section in ("growth", "export") else f"{section}={call}"
            return f"Since kgrow 0.2 it is `{call}`."
    return ""


def refusing_removed(call: Callable[P, R]) -> Callable[P, R]:
    """Returns a call that reports the replacement of a 0.1 argument, or the name closest to an unknown one."""
    known = [name for name in inspect.signature(call).parameters]

    @functools.wraps(call)
    def checking(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                hint = spelled_now(name) or nearest(name, known)
                raise TypeError(f"`{name}` is no argument of `{call.__name__}`. {hint}".rstrip())
        return call(*args, **kwargs)

    return checking
