"""Names of runs and of uploads: directories directly in another one."""

from __future__ import annotations

import itertools
from pathlib import Path

LONGEST = 60


def free_name(directory: Path, wanted: str) -> Path:
    """Returns the path of a new directory, named after something a user gave.

    Args:
        directory: Directory that it will be in.
        wanted: Name or path of the user's.

    Example:
        >>> free_name(Path("no/such"), "../my photos").name
        'my_photos'
    """
    last = Path(wanted.replace("\\", "/")).name
    name = "".join(char if char.isalnum() or char in "-_." else "_" for char in last).strip("._-")[:LONGEST] or "images"
    paths = (directory / (name if number == 1 else f"{name}-{number}") for number in itertools.count(1))
    return next(path for path in paths if not path.exists())


def inside(directory: Path, name: str) -> Path:
    """Returns the path of a directory that a request names.

    Raises:
        FileNotFoundError: If it is not directly in the other one.
    """
    path = directory / name
    if path.name != name or path.parent != directory or name in ("", ".", "..") or not path.is_dir():
        raise FileNotFoundError(f"There is no run {name!r} here.")
    return path
