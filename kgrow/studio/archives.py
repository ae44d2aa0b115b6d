"""Zip archives from a browser: checked as a whole, then unpacked."""

from __future__ import annotations

import os
import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

# What an archive may hold. Photographs do not get smaller in a zip, so a larger ratio is not that of photographs;
# a little archive may have any.
MAX_ARCHIVE_BYTES, MAX_BYTES, MAX_FILES, MAX_RATIO = 2 * 10**9, 4 * 10**9, 60_000, 100
LITTLE_BYTES = 10**7
# Marks at the end of an archive: of its list of files, and of the longer form that more files need.
END, LONG_END, END_LENGTH, LONGEST_COMMENT, LONG_END_LENGTH = b"PK\5\6", b"PK\6\7", 22, 65_535, 20
MAX_LIST_BYTES = 400 * MAX_FILES
FORMAT_BITS, ENCRYPTED = 16, 1
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError)


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks an archive into a new folder; hidden files and those of macOS beside them are left out.

    Args:
        archive: Zip file.
        folder: Folder that is made.

    Raises:
        ValueError: If it is no zip, is too large, or holds what may not be unpacked; the message names it.
        OSError: If the disk is full.
    """
    _check_list(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            _check_amounts(entries, archive.stat().st_size)
            parts = [(entry, _parts(entry)) for entry in entries]
            folder.mkdir()
            for entry, names in parts:
                if not any(name.startswith(".") or name == "__MACOSX" for name in names):
                    _write(opened, entry, folder.joinpath(*names))
    except DAMAGED as error:
        raise ValueError(f"The zip is damaged: {error}. Pack the folder once more.") from error


def _check_list(archive: Path) -> None:
    """Raises ValueError unless a file ends as a zip does, with a list of files that may be read into memory."""
    with archive.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - END_LENGTH - LONGEST_COMMENT - LONG_END_LENGTH))
        tail = file.read()
    place = tail.rfind(END)
    if place < 0 or len(tail) < place + END_LENGTH:
        raise ValueError("The file must be a zip, but is none, or only a part of one. Drop a folder or a zip of it.")
    list_bytes = int.from_bytes(tail[place + 12 : place + 16], "little")
    is_long = tail[max(0, place - LONG_END_LENGTH) : place].startswith(LONG_END)
    if is_long or list_bytes > MAX_LIST_BYTES:
        raise ValueError(_too_large("has a longer list of files"))


def _check_amounts(entries: list[zipfile.ZipInfo], archive_bytes: int) -> None:
    # `zipfile` gives no more bytes of a file than are declared, so these sums hold.
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_FILES:
        raise ValueError(_too_large(f"holds {len(entries)} files"))
    if total > MAX_BYTES:
        raise ValueError(_too_large(f"holds {total} bytes"))
    if total > max(LITTLE_BYTES, MAX_RATIO * archive_bytes):
        raise ValueError(_too_large(f"holds {total} bytes in {archive_bytes}"))


def _too_large(words: str) -> str:
    return (
        f"The zip must hold at most {MAX_FILES} files and {MAX_BYTES} bytes, at most {MAX_RATIO} times its own size, "
        f"but {words}. Unpack it yourself, and type the path of the folder."
    )


def _parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    """Returns the names on the way to a file of an archive; raises ValueError if it may not be unpacked."""
    name = entry.filename
    kind = stat.S_IFMT(entry.external_attr >> FORMAT_BITS)
    if kind not in (0, stat.S_IFREG):
        what = "a link" if stat.S_ISLNK(kind) else "no file"
        raise ValueError(f"The zip must hold files alone, but {name!r} is {what}. Pack the files themselves.")
    if entry.flag_bits & ENCRYPTED:
        raise ValueError(f"The zip must have no password, but {name!r} has one. Pack the folder without it.")
    written = name.replace("\\", "/")
    parts = PurePosixPath(written).parts
    has_drive = any(re.match("[A-Za-z]:", part) for part in parts)
    if written.startswith("/") or has_drive or ".." in parts or not parts:
        raise ValueError(f"The zip must hold files inside of it, but {name!r} leads out of it. Pack the folder anew.")
    return parts


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(entry) as source, path.open("xb") as target:
            shutil.copyfileobj(source, target)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"The zip must hold each name once, but has {entry.filename!r} twice.") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is None:  # a full disk
            raise
        raise ValueError(f"{entry.filename!r} of the zip has a name that this disk does not take: {error}") from error
