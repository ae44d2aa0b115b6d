"""Checks of the arguments that describe data, shared by all calls."""

import numbers
from collections.abc import Iterable, Mapping
from typing import Any

from kgrow._checks import check_bool, check_non_negative_int, check_path, check_seed, check_text, plain
from kgrow._rules import Rule, optional, within
from kgrow.task.pixels import LARGEST_SIDE, SMALLEST_SIDE
from kgrow.task.sources import check_source

check_validation_split = within(
    "(0, 1)", "It is the share of the training images that is set aside: for a tenth pass 0.1."
)


def check_image_size(value: Any, name: str) -> int | tuple[int, int]:
    """Returns a side in pixels, or a height and a width, as plain ints.

    Raises:
        ValueError: If it is neither, or a side is too small or too large.
    """
    size = value.tolist() if hasattr(value, "tolist") else value
    is_pair = isinstance(size, tuple | list) and len(size) == 2
    sides = [plain(side) for side in (size if is_pair else (size,))]
    are_sides = all(isinstance(side, numbers.Integral) and not isinstance(side, bool) for side in sides)
    if not are_sides or min(sides) < SMALLEST_SIDE:
        raise ValueError(
            f"`{name}` must be a side of at least {SMALLEST_SIDE} pixels, or (height, width), but got {value!r}."
        )
    if max(sides) > LARGEST_SIDE:
        raise ValueError(f"`{name}` must be a side of at most {LARGEST_SIDE} pixels, but got {value!r}.")
    return (int(sides[0]), int(sides[1])) if is_pair else int(sides[0])


def check_class_names(value: Any, name: str) -> tuple[str, ...]:
    """Returns class names.

    Raises:
        ValueError: If they are not several different names, texts or numbers.
    """
    is_several = isinstance(value, Iterable) and not isinstance(value, bytes | Mapping)
    names = [plain(each) for each in value] if is_several and getattr(value, "ndim", 1) == 1 else []
    if len(names) < 2 or not all(isinstance(each, str | int) and not isinstance(each, bool) for each in names):
        raise ValueError(
            f"`{name}` must be the names of at least 2 classes in the order of their labels, but got {value!r}."
        )
    texts = tuple(check_text(str(each), name) for each in names)
    if len(set(texts)) < len(texts):
        raise ValueError(f"`{name}` must differ from each other, but got {value!r}.")
    return texts


def check_callable(value: Any, name: str) -> Any:
    """Returns a function.

    Raises:
        ValueError: If it cannot be called.
    """
    if not callable(value) or isinstance(value, type):
        raise ValueError(f"`{name}` must be a function, but got {value!r}.")
    return value


RULES: dict[str, Rule] = {
    "source": check_source,
    "dataset": check_source,
    "name": optional(check_text),
    "validation_data": optional(check_source),
    "validation_split": optional(check_validation_split),
    "test_data": optional(check_source),
    "data_dir": optional(check_path),
    "image_size": optional(check_image_size),
    "seed": check_seed,
    "cache_bytes": check_non_negative_int,
    "class_names": optional(check_class_names),
    "on_progress": check_callable,
    "download": check_bool,
}
