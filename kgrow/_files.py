"""Files that a kill or a full disk leaves old or new, never half: whole files, logs of JSON lines, named arrays."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

if sys.platform != "win32":
    import fcntl

_HEADER = "__metadata__"
_ARRAY_KINDS = "biufcSU"
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


def locate(folder: Path, name: str) -> Path:
    """Returns the path of a name such as "checkpoints/last.npz" in a folder.

    Raises:
        ValueError: If the name would lead out of the folder.
    """
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise ValueError(f"`name` must be a path inside the run directory, but got {name!r}.")
    return folder.joinpath(*relative.parts)


def write_atomic(path: Path, data: bytes) -> None:
    """Replaces a file as a whole; folders above it are made.

    Raises:
        OSError: If it cannot be written, as on a full disk; the file is then what it was before.
    """
    partial = temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as file:
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
    """Returns where the next version of a file is written; one name, so that what a kill left is found again."""
    return path.with_name(path.name + ".kgrow-tmp")


def append_line(path: Path, line: bytes) -> None:
    """Adds a line to a log; it is on the disk when this returns.

    Raises:
        OSError: If it cannot be written, as on a full disk; the log is then what it was before.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size if path.exists() else None
        try:
            with open(path, "ab") as file:
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(path, size or 0)
            raise
        if size is None:
            _sync_folder(path.parent)
    except OSError as error:
        raise explained(error, path) from error


def complete_lines(path: Path) -> list[bytes]:
    """Returns the lines of a log without a torn last one: a line that has no end, or that is no JSON."""
    if not path.exists():
        return []
    *lines, unfinished = path.read_bytes().split(b"\n")
    if lines and not unfinished and not _is_json(lines[-1]):
        lines.pop()
    return lines


def drop_torn_line(path: Path) -> None:
    """Cuts a torn last line off a log, so that the next line does not grow onto it."""
    size = sum(len(line) + 1 for line in complete_lines(path))
    if path.exists() and path.stat().st_size > size:
        os.truncate(path, size)


def encode_json(value: Any, name: str, indent: int | None = None) -> bytes:
    """Returns a value as JSON, on one line or as an indented file; keys keep their order.

    Args:
        value: Plain values, with NumPy numbers, arrays and paths among them.
        name: What the message calls it.
        indent: Spaces per level; without it the text is one line without an end.

    Raises:
        ValueError: If it holds NaN, infinity, a cycle or something that JSON has no form for.
    """
    try:
        text = json.dumps(value, indent=indent, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must hold plain values and finite numbers, but got an error: {error}. "
            "JSON has no NaN and no infinity: leave such a value out or pass None."
        ) from error
    return (text if indent is None else text + "\n").encode()


def decode_json(data: bytes, name: str) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: If it is damaged; `name` says what.
    """
    try:
        return json.loads(data)
    except ValueError as error:
        raise ValueError(
            f"{name} is damaged: {error}. Start the run over (`overwrite=True`, or another `directory`)."
        ) from error


def encode_arrays(arrays: Mapping[str, Any], metadata: Mapping[str, Any]) -> bytes:
    """Returns named arrays and their metadata as an uncompressed `.npz` file; equal input gives equal bytes.

    Args:
        arrays: Numbers, booleans or strings by name; the order is kept.
        metadata: Plain values, stored as JSON.
    """
    header = encode_json({"names": list(arrays), "metadata": metadata}, "metadata")
    # In memory first: a zip file that a full disk cut short fails a second time when it is collected.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add_array(archive, _HEADER, np.frombuffer(header, np.uint8))
        for name, array in arrays.items():
            _add_array(archive, name, _checked(name, np.asanyarray(array)))
    return buffer.getvalue()


def decode_arrays(data: bytes, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the arrays and the metadata of an encoded file.

    Raises:
        ValueError: If it is damaged; `name` says what.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = json.loads(_read_array(archive, _HEADER).tobytes())
            arrays = {key: _read_array(archive, key) for key in header["names"]}
        return arrays, header["metadata"]
    except Exception as error:  # zipfile and NumPy answer damaged bytes with a dozen types of errors
        raise ValueError(
            f"{name} is damaged: {error}. Start the run over (`overwrite=True`, or another `directory`)."
        ) from error


def lock_file(path: Path) -> int:
    """Returns the descriptor of a locked file; the kernel unlocks it when the process ends, however it ends.

    Raises:
        BlockingIOError: If it is locked already; the message names the folder and the process.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise explained(error, path) from error
    if sys.platform == "win32":  # no lock there: two processes in one folder go unnoticed
        return descriptor
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode().strip()
        os.close(descriptor)
        raise BlockingIOError(
            f"`directory` must belong to one process at a time, but '{path.parent}' is in use by process {holder}. "
            "Wait for it to end or pass another `directory` (`--out`)."
        ) from None
    except OSError:  # some network drives know no locks; a run there is still a run
        return descriptor
    with contextlib.suppress(OSError):  # only the message above reads it; a full disk may refuse it
        os.truncate(path, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
    return descriptor


def explained(error: OSError, path: Path) -> OSError:
    """Returns the error with the file's name and what to do about it."""
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


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network drives refuse; the replacement is atomic without it
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _plain(value: object) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} {value!r} is no plain value")


def _checked(name: str, array: np.ndarray) -> np.ndarray:
    # bfloat16 has kind "V": NumPy's format would give it back as raw bytes without a word.
    if array.dtype.kind not in _ARRAY_KINDS:
        raise ValueError(f"`arrays[{name!r}]` must hold numbers, booleans or strings, but got dtype {array.dtype}.")
    if name == _HEADER:
        raise ValueError(f"`arrays` must not use the name {_HEADER!r}, but got it. It is the place of the metadata.")
    return array


def _add_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue())


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
