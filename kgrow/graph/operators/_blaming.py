"""Errors of another package's operator name the package, whoever calls it."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from kgrow.registry import blamed, is_foreign

MAY_REFUSE = ("output_shape", "kernel_shape", "at_size", "from_keras")


def name_in_errors(kind: type, contract: type) -> None:
    """Names the package of another project's operator in whatever its methods raise, except where they may refuse.

    Args:
        kind: Class of the operator; its methods are replaced.
        contract: Class whose public methods and attributes are its contract.
    """
    for name, member in list(vars(kind).items()) if is_foreign(kind) else ():
        if name in vars(contract) and not name.startswith("_"):
            setattr(kind, name, _blaming(member, (ValueError,) if name in MAY_REFUSE else ()))


def _blaming(member: Any, allowed: tuple[type[Exception], ...]) -> Any:
    """Returns a method, class method or property with the package named in its errors; all others unchanged."""
    if isinstance(member, classmethod):
        return classmethod(_blaming(member.__func__, allowed))
    if isinstance(member, property):
        return property(_blaming(member.fget, allowed), doc=member.__doc__)
    if not inspect.isfunction(member):
        return member

    @functools.wraps(member)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        with blamed(self, allowed):
            return member(self, *args, **options)

    return call
