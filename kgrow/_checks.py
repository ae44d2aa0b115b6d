"""Argument checks whose messages say what was expected, what was given, and how to fix it."""

from __future__ import annotations

import difflib
import numbers
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
MOST_CLASSES = 100_000

# The largest 64-bit integer, the largest 32-bit TensorFlow seed, and a bound on counts of rounds.
LARGEST_INT, LARGEST_SEED, MOST_ROUNDS = 2**63 - 1, 2**31 - 1, 1_000_000


def plain(value: Any) -> Any:
    """Returns a NumPy scalar, or an array without axes, as a Python value; returns anything else unchanged."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def check_number(value: Any, name: str, interval: str, hint: str = "") -> float:
    """Returns a number as a float.

    Args:
        value: Python or NumPy number.
        name: Argument name used in the message.
        interval: Allowed interval, such as "(0, 1]". Infinity itself is never allowed.
        hint: Sentence that says how to fix the value.

    Raises:
        ValueError: If it is not a number or is outside. A wrong type is also a ValueError, so callers catch one error.

    Example:
        >>> check_number(35, "max_drop", "[0, 1]", "For one point pass 0.01.")
        Traceback (most recent call last):
        ...
        ValueError: `max_drop` must be in [0, 1], but got 35. For one point pass 0.01.
    """
    number = plain(value)
    low, high = map(float, interval[1:-1].split(","))
    is_number = isinstance(number, numbers.Real) and not isinstance(number, bool)
    is_inside = is_number and low <= number <= min(high, sys.float_info.max)
    on_open_end = is_inside and ((number == low and interval[0] == "(") or (number == high and interval[-1] == ")"))
    if not is_inside or on_open_end:
        raise ValueError(f"`{name}` must be in {interval}, but got {value!r}. {hint}".rstrip())
    return float(number)


def check_positive(value: Any, name: str) -> float:
    """Returns a positive, finite number as a float.

    Raises:
        ValueError: If it is not.
    """
    try:
        return check_number(value, name, "(0, inf)")
    except ValueError:
        raise ValueError(f"`{name}` must be positive and finite, but got {value!r}.") from None


def check_bool(value: Any, name: str) -> bool:
    """Returns a truth value as a plain bool.

    Raises:
        TypeError: If it is anything else; 0 and 1 are refused too.
    """
    if not isinstance(plain(value), bool):
        raise TypeError(f"`{name}` must be True or False, but got {value!r}.")
    return plain(value)


def check_text(value: Any, name: str) -> str:
    """Returns a text that can be printed and stored.

    Raises:
        ValueError: If it is not text, is empty, or contains a zero character or characters that UTF-8 cannot encode.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` must be text that is not empty, but got {value!r}.")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"`{name}` must be text that UTF-8 can hold, but got {value!r}.")
    return value


def check_path(value: Any, name: str) -> str:
    """Returns a path as text.

    Raises:
        ValueError: If it is neither text nor a path, is empty, or cannot be encoded in UTF-8.
    """
    return check_text(os.fspath(value) if isinstance(value, os.PathLike) else value, name)


def check_seed(value: Any, name: str = "seed") -> int:
    """Returns a seed as a plain int.

    Raises:
        ValueError: If it is not an integer in [0, 2**31).
    """
    return _int_from(0, value, name, "0 or a positive integer", LARGEST_SEED)


def check_rounds(value: Any, name: str) -> int:
    """Returns a number of sequential rounds, such as epochs or trials, as a plain int.

    Raises:
        ValueError: If it is not an integer from 1 to a million.
    """
    return check_positive_int(value, name, MOST_ROUNDS)


def check_keep_ratio(value: float, name: str = "keep_ratio") -> float:
    """Returns a keep ratio as a float.

    Args:
        value: Kept fraction of the prunable weights.
        name: Argument name used in the message.

    Raises:
        ValueError: If it is not a number in (0, 1]. A wrong type is also a ValueError, so callers catch one error.

    Example:
        >>> check_keep_ratio(35)
        Traceback (most recent call last):
        ...
        ValueError: `keep_ratio` must be in (0, 1], but got 35. It is the fraction of weights kept: for 80% sparsity \
pass 0.2.
    """
    return check_number(value, name, "(0, 1]", "It is the fraction of weights kept: for 80% sparsity pass 0.2.")


def check_keep_ratios(value: float | Sequence[float], num_blocks: int, name: str = "keep_ratio") -> tuple[float, ...]:
    """Returns the keep ratio of every block.

    Args:
        value: One ratio for all blocks, or one per block.
        num_blocks: Number of blocks of the network.
        name: Argument name used in the message.

    Raises:
        ValueError: If a ratio is not in (0, 1], or the number of ratios differs from the number of blocks.

    Example:
        >>> check_keep_ratios(0.5, 3)
        (0.5, 0.5, 0.5)
    """
    given = check_keep_ratio_or_ratios(value, name)
    checked = given if isinstance(given, tuple) else (given,) * num_blocks
    if len(checked) != num_blocks:
        raise ValueError(f"`{name}` must be one number or one for each of the {num_blocks} blocks, but got {value!r}.")
    return checked


def check_keep_ratio_or_ratios(value: Any, name: str = "keep_ratio") -> float | tuple[float, ...]:
    """Returns one keep ratio as a float, or one per block as a tuple.

    Raises:
        ValueError: If a ratio is not in (0, 1], or there is none.
    """
    is_several = (isinstance(value, Sequence) and not isinstance(value, str | bytes)) or getattr(value, "ndim", 0) == 1
    if not is_several:
        return check_keep_ratio(value, name)
    if not len(value):
        raise ValueError(f"`{name}` must be one number or one for each block, but got {value!r}.")
    return tuple(check_keep_ratio(ratio, name) for ratio in value)


def check_positive_int(value: Any, name: str, most: int = LARGEST_INT) -> int:
    """Returns a count as a plain int.

    Args:
        value: Python or NumPy integer.
        name: Argument name used in the message.
        most: Largest allowed value.

    Raises:
        ValueError: If it is not an integer of at least 1; 2.0 and True are refused too.

    Example:
        >>> check_positive_int(12, "epochs")
        12
    """
    return _int_from(1, value, name, "a positive integer", most)


def check_non_negative_int(value: Any, name: str, most: int = LARGEST_INT) -> int:
    """Returns a count that may be 0 as a plain int.

    Args:
        value: Python or NumPy integer.
        name: Argument name used in the message.
        most: Largest allowed value.

    Raises:
        ValueError: If it is not an integer of at least 0; 0.0 and False are refused too.

    Example:
        >>> check_non_negative_int(0, "weight_epochs")
        0
    """
    return _int_from(0, value, name, "0 or a positive integer", most)


def _int_from(smallest: int, value: Any, name: str, expected: str, most: int) -> int:
    number: Any = plain(value)
    is_int = isinstance(number, numbers.Integral) and not isinstance(number, bool)
    if not is_int or number < smallest:
        raise ValueError(f"`{name}` must be {expected}, but got {value!r}.")
    if number > most:
        raise ValueError(f"`{name}` must be at most {most}, but got {value!r}.")
    return int(number)


def check_num_classes(value: int, name: str = "num_classes") -> int:
    """Returns a number of classes as a plain int.

    Args:
        value: Python or NumPy integer.
        name: Argument name used in the message.

    Raises:
        ValueError: If it is not a positive integer, or is too large for a small network: arrays of that size would use
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
        name: Name as typed; case is ignored.
        names: Existing names.

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
        table: Objects by name.
        name: Requested name.
        what: Argument name used in the message, such as "criterion".

    Raises:
        ValueError: If the table has no such name; the message lists the names and the nearest one.

    Example:
        >>> lookup({"compact": 1, "seed_dense": 2}, "seed_dens", "space")
        Traceback (most recent call last):
        ...
        ValueError: `space` must be one of 'compact', 'seed_dense', but got 'seed_dens'. Did you mean 'seed_dense'?
    """
    return table[check_name(table, name, what)]


def check_name(names: Iterable[str], name: Any, what: str) -> str:
    """Returns a name after checking that it is one of the given names; the entries themselves are not read.

    Args:
        names: Existing names.
        name: Requested name.
        what: Argument name used in the message.

    Raises:
        ValueError: If it is not one of them; the message lists the names and the nearest one.
    """
    known = list(names)
    if isinstance(name, str) and name in known:  # a list cannot be a key
        return name
    listed = ", ".join(map(repr, known))
    raise ValueError(f"`{what}` must be one of {listed}, but got {name!r}. {nearest(name, known)}".rstrip())
