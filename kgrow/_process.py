"""Whether a process does nothing but one search."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

_IS_OWN = contextvars.ContextVar("_IS_OWN", default=False)


def is_own() -> bool:
    """Returns whether settings of the whole process may suit the search that it runs."""
    return _IS_OWN.get()


@contextlib.contextmanager
def own_process() -> Iterator[None]:
    """Runs a search to which the process belongs, as on the command line."""
    token = _IS_OWN.set(True)
    try:
        yield
    finally:
        _IS_OWN.reset(token)
