"""Listing of image files in folders, without cycles and system folders, with notes on what is left out."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from kgrow._ownership import LOCK, MANIFEST
from kgrow.task.pictures import HEIF_SUFFIXES, suffixes
from kgrow.task.wording import counted, list_some

SYSTEM_FOLDERS = ("proc", "sys", "dev")

FOREIGN = ("file", "without the suffix of an image")
HEIF = ("HEIC file", "that `pip install pillow-heif` would let kgrow read")
SPECIAL = ("special file", "such as a pipe, a device or a broken link")
UNREADABLE = ("folder", "that could not be opened")
OWN = ("folder", "of kgrow's own runs")
EMPTY = ("folder", "without images")
LOOSE = ("image", "that lies in no folder of a class")
ASTRAY = ("link", "that could lead in circles or through the system")


class LeftOut:
    """The files and folders that are not read below a folder, with the reasons.

    Args:
        root: Folder to which the names are relative.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[tuple[str, str], list[str]] = {}
        self._known: set[str] = set()

    def add(self, noun: str, reason: str, path: Path) -> None:
        """Adds a file or folder; only its first reason counts.

        Args:
            noun: Kind of entry, such as "folder".
            reason: Text that continues after the noun, such as "without images".
            path: Path of the entry.
        """
        name = path.relative_to(self.root).as_posix()
        if name not in self._known:
            self._known.add(name)
            self._names.setdefault((noun, reason), []).append(name)

    def notes(self) -> list[str]:
        """Returns a sentence about the entries left out for each reason."""
        return [
            f"Left out {counted(len(names), noun)} {reason}: {list_some(names)}."
            for (noun, reason), names in self._names.items()
        ]


def list_images(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    """Lists the image files below a folder, at any depth, without opening them.

    Links to folders are followed, except those that could lead to far more files than intended: to the top of a file
    system or a folder directly below it, to a home directory, to the folder of the data set or one above it, or from
    within a folder that is itself a link's target.

    Args:
        folder: Folder of one class.
        left_out: Collector of files that are not images or cannot be read.

    Yields:
        Paths of regular files, in the order of their names.
    """
    pending, seen = [(folder, False)], set[tuple[int, int]]()
    while pending:
        current, is_linked = pending.pop()
        if current.is_symlink() and (is_linked or _leads_astray(current, left_out.root)):
            left_out.add(*ASTRAY, current)
            continue
        files, folders = _read(current, seen, left_out)
        yield from files
        pending += [(path, is_linked or current.is_symlink()) for path in reversed(folders)]


def _read(folder: Path, seen: set[tuple[int, int]], left_out: LeftOut) -> tuple[list[Path], list[Path]]:
    """Returns the images and the folders in a folder; empty if it was already seen or must not be read."""
    try:
        identity, names = folder.stat(), sorted(os.listdir(folder))
    except OSError:
        left_out.add(*UNREADABLE, folder)
        return [], []
    if LOCK in names or MANIFEST in names:
        left_out.add(*OWN, folder)
        return [], []
    if (identity.st_dev, identity.st_ino) in seen:
        return [], []
    seen.add((identity.st_dev, identity.st_ino))
    files, folders = [], []
    for path in (folder / name for name in names if not name.startswith(".")):
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            folders.append(path)
        elif stat.S_ISREG(mode) and path.suffix.lower() in suffixes():
            files.append(path)
        else:
            left_out.add(*_reason(path, mode), path)
    return files, folders


def _reason(path: Path, mode: int) -> tuple[str, str]:
    if not stat.S_ISREG(mode):
        return SPECIAL
    return HEIF if path.suffix.lower() in HEIF_SUFFIXES else FOREIGN


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # a broken link, or a link to itself
        return 0


def _leads_astray(link: Path, root: Path) -> bool:
    target = link.resolve()
    above = (root.resolve(), *root.resolve().parents, Path.home())
    return target in above or len(target.parts) <= 2 or is_of_system(target)


def is_of_system(path: Path) -> bool:
    """Returns whether a folder is the top of a file system, or one of special files.

    Args:
        path: Existing folder.
    """
    parts = path.resolve().parts
    return len(parts) == 1 or parts[1] in SYSTEM_FOLDERS
