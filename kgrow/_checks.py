"""Argument checks that say what was expected, what came, and how to fix it."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")
MOST_CLASSES = 100_000


def check_keep_ratio(value: float, name: str = "keep_ratio") -> float:
    """Returns a keep ratio as a float.

    Args:
        value: Fraction of the prunable weights that is kept.
        name: Argument the message names.

    Raises:
        ValueError: If it is not a number in (0, 1]; a wrong type is a wrong value here, so callers catch one error.

    Example:
        >>> check_keep_ratio(35)
        Traceback (most recent call last):
        ...
        ValueError: `keep_ratio` must be in (0, 1], but got 35. It is the fraction of weights kept: for 80% sparsity \
pass 0.2.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 < value <= 1:
        raise ValueError(
            f"`{name}` must be in (0, 1], but got {value!r}. "
            "It is the fraction of weights kept: for 80% sparsity pass 0.2."
        )
    return float(value)


def check_keep_ratios(value: float | Sequence[float], num_blocks: int, name: str = "keep_ratio") -> tuple[float, ...]:
    """Returns the keep ratio of every block.

    Args:
        value: One for all blocks, or one per block.
        num_blocks: Of the network.
        name: Argument the message names.

    Raises:
        ValueError: If one is not in (0, 1], or there is another number of them than of blocks.

    Example:
        >>> check_keep_ratios(0.5, 3)
        (0.5, 0.5, 0.5)
    """
    ratios = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value] * num_blocks
    checked = tuple(check_keep_ratio(ratio, name) for ratio in ratios)
    if len(checked) != num_blocks:
        raise ValueError(f"`{name}` must be one number or one for each of the {num_blocks} blocks, but got {value!r}.")
    return checked


def check_positive_int(value: int, name: str) -> int:
    """Returns a count as a plain int.

    Args:
        value: Python or NumPy integer.
        name: Argument the message names.

    Raises:
        ValueError: If it is not an integer of at least 1; 2.0 and True are refused too.

    Example:
        >>> check_positive_int(12, "epochs")
        12
    """
    return _int_from(1, value, name, "a positive integer")


def check_non_negative_int(value: int, name: str) -> int:
    """Returns a count that may be 0 as a plain int.

    Args:
        value: Python or NumPy integer.
        name: Argument the message names.

    Raises:
        ValueError: If it is not an integer of at least 0; 0.0 and False are refused too.

    Example:
        >>> check_non_negative_int(0, "weight_epochs")
        0
    """
    return _int_from(0, value, name, "0 or a positive integer")


def _int_from(smallest: int, value: int, name: str, expected: str) -> int:
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or value < smallest:
        raise ValueError(f"`{name}` must be {expected}, but got {value!r}.")
    return int(value)


def check_num_classes(value: int, name: str = "num_classes") -> int:
    """Returns a number of classes as a plain int.

    Args:
        value: Python or NumPy integer.
        name: Argument the message names.

    Raises:
        ValueError: If it is no positive integer, or one that no small network has: what is made by its size would take
            all the memory.

    Example:
        >>> check_num_classes(10)
        10
    """
    if check_positive_int(value, name) > MOST_CLASSES:
        raise ValueError(f"`{name}` must have at most {MOST_CLASSES} classes, but got {value}.")
    return int(value)


def nearest(name: str, names: Iterable[str]) -> str:
    """Returns a question naming the most similar name, or an empty string if none is similar.

    Args:
        name: What was typed; upper and lower case are not told apart.
        names: What exists.

    Example:
        >>> nearest("Digit", ["cifar10", "digits", "mnist"])
        "Did you mean 'digits'?"
    """
    known = {candidate.lower(): candidate for candidate in names}
    matches = difflib.get_close_matches(str(name).lower(), known, n=1)
    return f"Did you mean {known[matches[0]]!r}?" if matches else ""


def lookup(table: Mapping[str, T], name: str, what: str) -> T:
    """Returns the entry of a table of named things.

    Args:
        table: The things by name.
        name: The wanted one.
        what: Argument the message names, such as "criterion".

    Raises:
        ValueError: If there is none of that name; it lists the names and the nearest one.

    Example:
        >>> lookup({"compact": 1, "seed_dense": 2}, "seed_dens", "space")
        Traceback (most recent call last):
        ...
        ValueError: `space` must be one of 'compact', 'seed_dense', but got 'seed_dens'. Did you mean 'seed_dense'?
    """
    if name in table:
        return table[name]
    names = ", ".join(repr(known) for known in table)
    raise ValueError(f"`{what}` must be one of {names}, but got {name!r}. {nearest(name, table)}".rstrip())
