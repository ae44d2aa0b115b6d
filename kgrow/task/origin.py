"""The origin of a task: `load` uses it to find the data again, and a search writes it in its configuration."""

import os
from collections.abc import Iterable
from typing import Any

from kgrow.task.sources import is_folder


def origin_of(
    source: Any = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    validation_split: float | None = None,
    class_names: Iterable[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the arguments of `Task.of` as plain values, paths absolute; `dataset` is None for data held in memory."""
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    if name is not None and (isinstance(source, os.PathLike) or is_folder(name, data_dir)):
        name = os.path.abspath(os.path.expanduser(name))
    place = None if data_dir is None else os.fspath(data_dir)
    is_local = place is not None and "://" not in place
    return {
        "dataset": name,
        "data_dir": os.path.abspath(os.path.expanduser(place)) if is_local and place else place,
        "image_size": image_size,
        "validation_split": validation_split,
        "class_names": None if class_names is None else list(class_names),
        "seed": seed,
    }
