"""`Ownership`: the lock on a run directory and the list of kgrow's files in it."""

from __future__ import annotations

import contextlib
import os
import weakref
from pathlib import Path
from typing import Any, final

from kgrow._encoding import decode_json, encode_json
from kgrow._files import (
    append_line,
    check_inside,
    complete_lines,
    drop_torn_line,
    explained,
    locate,
    lock_file,
    read_json,
    temporary,
)

CONFIG, LOCK, MANIFEST = "config.json", "kgrow.lock", "kgrow.files"
HEADER = {"format": str, "kgrow_version": str, "config": (dict, None)}


@final
class Ownership:
    """The lock on a run directory until `release`, and the list of the files kgrow wrote there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.release = weakref.finalize(self, os.close, lock_file(root / LOCK))
        self._manifest = root / MANIFEST
        self._names: set[str] = set()

    def recover(self) -> None:
        """Reads the list and removes files that a killed process left half written.

        Raises:
            ValueError: If it names a file outside the directory.
        """
        drop_torn_line(self._manifest)
        self._names = listed(self._root)
        for path in [self._root / CONFIG, *self.written(self._root)]:
            temporary(path).unlink(missing_ok=True)

    def check(self, folder: Path) -> None:
        """Raises ValueError if a folder is reached through a link, because it may then belong to somebody else."""
        check_inside(self._root, folder)

    def record(self, path: Path) -> None:
        """Adds a file to the list before it is first written: unlisted files are never removed."""
        name = path.relative_to(self._root).as_posix()
        if name not in self._names:
            append_line(self._manifest, encode_json(name, "name"))
            self._names.add(name)

    def clear(self, folder: Path) -> None:
        """Removes the listed files below a folder, and the folders that become empty."""
        for path in self.written(folder):
            path.unlink(missing_ok=True)
            for parent in path.parents[: len(path.relative_to(self._root).parts) - 1]:
                with contextlib.suppress(OSError):  # it contains other files, or is already removed
                    parent.rmdir()

    def written(self, folder: Path) -> list[Path]:
        """Returns the listed files below a folder, whether they exist or not."""
        paths = [locate(self._root, name) for name in sorted(self._names)]
        found = [path for path in paths if folder in path.parents]
        for parent in {path.parent for path in found}:
            self.check(parent)
        return found


def is_locked(root: Path) -> bool:
    """Returns whether a process has locked a run directory."""
    try:
        os.close(lock_file(root / LOCK))
    except BlockingIOError:
        return True
    except OSError:  # a directory that cannot be written
        return False
    return False


def listed(root: Path) -> set[str]:
    """Returns the names of the files kgrow wrote in a directory; an empty set if it is not a run."""
    manifest = root / MANIFEST
    return {decode_json(line, str(manifest), str) for line in complete_lines(manifest)}


def make_directory(path: Path) -> None:
    """Creates a run directory, or checks that it may be one.

    Raises:
        FileExistsError: If it contains files, but no run.
        PermissionError: If it cannot be written.
    """
    own = {LOCK, MANIFEST, temporary(Path(CONFIG)).name}
    try:
        path.mkdir(parents=True, exist_ok=True)
        is_foreign = any(entry.name not in own for entry in path.iterdir()) and read_header(path) is None
    except FileExistsError:
        is_foreign = True
    except OSError as error:
        raise explained(error, path) from error
    if is_foreign:
        raise FileExistsError(
            f"`directory` must be new, empty or a run of kgrow, but got '{path}', which is none of these. "
            "kgrow leaves it alone: pass another `directory` (`--out`)."
        )


def read_header(path: Path) -> dict[str, Any] | None:
    """Returns the header of the run in a directory, None if there is none; it is not checked against `HEADER`."""
    try:
        header = read_json(path / CONFIG)
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return None
    is_run = isinstance(header, dict) and header.keys() >= HEADER.keys()
    return header if is_run and str(header["format"]).startswith("kgrow-run-") else None


def check_version(file: Path, found: Any, ours: str) -> None:
    """Raises ValueError if a run was made by another minor version, whose files have another meaning.

    Args:
        file: File that contains the version.
        found: Version that made the run.
        ours: Version that is running.
    """
    if str(found).split(".")[:2] != ours.split(".")[:2]:
        raise ValueError(
            f"`directory` must hold a run of kgrow {ours}, but '{file}' is of kgrow {found}. Go on with that "
            "version, pass `overwrite=True` (`--overwrite`) to start over, or choose another directory."
        )


def check_unowned(path: Path) -> None:
    """Raises ValueError if a path is a file of a run, or a folder with such files."""
    real = Path(os.path.realpath(path.parent)) / path.name
    for root in real.parents:
        if not (root / MANIFEST).is_file() or read_header(root) is None:
            continue
        name = real.relative_to(root).as_posix().casefold()
        if any(own.casefold() == name or own.casefold().startswith(f"{name}/") for own in listed(root)):
            raise ValueError(
                f"`path` must not be a file of a search, but '{path}' belongs to the run in '{root}'. Choose another "
                "name or another place."
            )
