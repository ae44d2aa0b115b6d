"""The file of a report."""

from __future__ import annotations

import os
from pathlib import Path

from kgrow._checks import check_path
from kgrow._files import write_atomic


def check_free(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Raises an error unless a report may be written to a path.

    Raises:
        FileExistsError: If there is something that may not be replaced.
    """
    target = Path(check_path(path, "path"))
    if target.is_dir() or (target.exists() and not overwrite):
        raise FileExistsError(
            f"`path` must be a new file, but there is '{target}'. Give `overwrite=True` (--overwrite), or another path."
        )


def write_report(path: str | os.PathLike[str], page: str) -> None:
    """Writes a report, or leaves the file as it was; folders on the way are made."""
    target = Path(path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, page.encode())
