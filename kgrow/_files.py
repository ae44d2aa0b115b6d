"""Whole files and logs of JSON lines that stay consistent: a kill or a full disk never leaves half a file.

Nothing here writes through a link, because a directory may come from somebody else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from kgrow._encoding import decode_json, is_json

if sys.platform != "win32":
    import fcntl

_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)  # flags for every file opened here
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


def locate(folder: Path, name: str) -> Path:
    """Returns the path of a name such as "checkpoints/last.npz" in a folder.

    Raises:
        ValueError: If the name would lead out of the folder.
    """
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts or "\0" in name:
        raise ValueError(f"`name` must be a path inside the run directory, but got {name!r}.")
    return folder.joinpath(*relative.parts)


def check_inside(root: Path, folder: Path) -> None:
    """Checks that no link leads from a folder to one below it; links to the first folder belong to the user.

    Raises:
        ValueError: If a link does.
    """
    real = Path(os.path.realpath(root)) / folder.relative_to(root)
    if Path(os.path.realpath(folder)) != real:
        raise ValueError(
            f"'{folder}' must be a folder inside the run directory, but is reached through a link. Put the folder "
            "itself there, or remove the link."
        )


def read_file(path: Path) -> bytes:
    """Returns the content of a file.

    Raises:
        ValueError: If it is not a regular file but a pipe or a device, which may have no end.
    """
    with open(path, "rb", opener=_open_unwaiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"'{path}' must be a file, but is something else.")
        return file.read()


def _open_unwaiting(path: str, flags: int) -> int:
    """Opens a pipe without waiting for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_json(path: Path, kind: Any = Any) -> Any:
    """Returns the value of a JSON file; see `decode_json`."""
    return decode_json(read_file(path), str(path), kind)


def write_atomic(path: Path, data: bytes) -> None:
    """Replaces a whole file; creates missing parent folders.

    Raises:
        OSError: If it cannot be written, as on a full disk; the file is then unchanged.
    """
    partial = temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # left by a kill, or a link
        try:
            with open(partial, "xb") as file:  # a link that still exists is an error
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise explained(error, path) from error


def temporary(path: Path) -> Path:
    """Returns the fixed path of a file's next version; a file left by a kill is found again under it."""
    return path.with_name(path.name + ".kgrow-tmp")


def append_line(path: Path, line: bytes) -> None:
    """Appends a line to a log; the line is on the disk when this returns.

    Raises:
        OSError: If it cannot be written, as on a full disk; the log is then unchanged.
        ValueError: If it is a link.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with _opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, line + b"\n")
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        if is_new:
            _sync_folder(path.parent)
    except OSError as error:
        raise explained(error, path) from error


def complete_lines(path: Path) -> list[bytes]:
    """Returns the lines of a log without a torn last one: a line that has no newline, or that is not JSON."""
    if not path.exists():
        return []
    *lines, unfinished = read_file(path).split(b"\n")
    if lines and not unfinished and not is_json(lines[-1]):
        lines.pop()
    return lines


def drop_torn_line(path: Path) -> None:
    """Removes a torn last line from a log, so that the next line is not appended to it."""
    if not os.path.lexists(path):
        return
    with _opened(path, os.O_RDWR) as descriptor:
        size = sum(len(line) + 1 for line in complete_lines(path))
        if os.fstat(descriptor).st_size > size:
            os.ftruncate(descriptor, size)


def lock_file(path: Path) -> int:
    """Returns the descriptor of a locked file; the kernel unlocks it when the process ends, however it ends.

    Raises:
        BlockingIOError: If it is already locked; the message names the folder and the process.
        ValueError: If it is a link.
    """
    try:
        descriptor = _open_own(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise explained(error, path) from error
    if sys.platform == "win32":  # no lock on Windows: two processes in one folder are not detected
        return descriptor
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        raise BlockingIOError(
            f"`directory` must belong to one process at a time, but '{path.parent}' is in use by process {holder}. "
            "Wait for it to end or pass another `directory` (`--out`)."
        ) from None
    except OSError:  # some network drives have no locks; runs there are still allowed
        return descriptor
    with contextlib.suppress(OSError):  # only the message above reads it; a full disk may reject it
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
    return descriptor


def explained(error: OSError, path: Path) -> OSError:
    """Returns the error with the file's name and a hint on what to do."""
    reason = error.strerror or str(error)
    if error.errno in _REFUSED:
        return PermissionError(
            error.errno,
            f"'{path}' must be writable, but is not: {reason}. Name another place (`directory`, `--out`).",
        )
    return OSError(
        error.errno,
        f"{path} could not be written: {reason}. What it held before is intact. "
        "If the disk is full, free some space and give the same command again.",
    )


def _open_own(path: Path, flags: int) -> int:
    """Returns the descriptor of a file that is changed in place.

    Raises:
        ValueError: If it is a link, a pipe or a device, or has a second name: writing would change somebody else's
            file.
    """
    if path.is_symlink():  # Windows cannot report it on opening
        raise _not_own(path)
    try:
        descriptor = os.open(path, flags | _PLAIN | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _not_own(path) from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise _not_own(path)
    return descriptor


def _not_own(path: Path) -> ValueError:
    return ValueError(
        f"'{path}' must be a file of its own, but is a link or no file. Nothing was written: it may be another's. Copy "
        "the directory, or remove it."
    )


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = _open_own(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network drives reject it; the replacement is still atomic
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
