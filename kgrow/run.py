"""The run directory: the configuration, the event log and the checkpoints of one run, locked by one process."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, final

import numpy as np

from kgrow._encoding import decode_arrays, decode_json, encode_arrays, encode_json
from kgrow._files import (
    append_line,
    complete_lines,
    drop_torn_line,
    locate,
    read_file,
    read_json,
    write_atomic,
)
from kgrow._ownership import CONFIG, HEADER, Ownership, check_version, make_directory, read_header
from kgrow._version import __version__

_FORMAT = "kgrow-run-1"
_EVENTS = "events.jsonl"
RESULT, MODEL = "result.json", "model.tflite"  # files of a search
# Its configuration, which gives it again, and where its data are from, for one that is ended before it has a result.
SETTINGS, SOURCE = "config.yaml", "source.json"
# For messages about two configurations: text for a missing key, and the number of characters of a shortened value.
ABSENT, LONGEST_VALUE = "absent", 100


@final
class Run:
    """A run directory that this process has locked; made by `Run.open`.

    Every file is replaced as a whole and the event log grows by whole lines, so a killed process leaves each file in
    its old or its new state. Names are relative and may contain "/", such as "checkpoints/last.npz".

    Attributes:
        path: Path of the directory.
        config: Configuration as JSON restores it: tuples become lists, keys become strings.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Run.open(f"{folder}/digits", {"epochs": 3}) as run:
        ...     run.append({"event": "grew", "block_index": 0})
        ...     run.events()
        [{'event': 'grew', 'block_index': 0}]
    """

    def __init__(self, path: Path, config: dict[str, Any], ownership: Ownership) -> None:
        self.path = path
        self.config = config
        self._ownership = ownership
        ownership.check(path)
        self._log = path / _EVENTS
        drop_torn_line(self._log)

    @classmethod
    def open(cls, directory: str | os.PathLike[str], config: Mapping[str, Any], *, overwrite: bool = False) -> Run:
        """Creates a run directory, or resumes the run in it.

        Args:
            directory: Directory, created with its parents. One with other content is not changed.
            config: Resolved configuration; a run is resumed only with an equal one.
            overwrite: Whether to remove the files kgrow wrote there and start over; other files stay.

        Raises:
            ValueError: If the directory contains a run of another configuration.
            FileExistsError: If it contains files, but no run.
            PermissionError: If it cannot be written.
            BlockingIOError: If another process, or another `Run` of this one, has locked it.
        """
        resolved = json.loads(encode_json(config, "config"))
        path = Path(directory).absolute()
        make_directory(path)
        ownership = Ownership(path)
        try:
            ownership.recover()
            run = cls(path, resolved, ownership)
            run._take_up(overwrite)
        except BaseException:
            ownership.release()
            raise
        return run

    def _take_up(self, overwrite: bool) -> None:
        stored = read_header(self.path)
        if stored is not None and stored["config"] is not None and not overwrite:
            check_version(self.path / CONFIG, stored["kgrow_version"], __version__)
            _check_equal(self.path, self.config)
        elif stored is not None:
            # A kill between the two headers leaves no valid old run: without a configuration the next open continues
            # the removal; see test_run.py::test_interrupted_overwrite_is_finished_by_the_next_open.
            self._write_header(None)
            self.clear()
        self._write_header(self.config)

    def _write_header(self, config: dict[str, Any] | None) -> None:
        header = {"format": _FORMAT, "kgrow_version": __version__, "config": config}
        write_atomic(self.path / CONFIG, encode_json(header, CONFIG, indent=2))

    def close(self) -> None:
        """Unlocks the directory for other processes; this run and its children must not be used any more."""
        self._ownership.release()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def child(self, name: str) -> Run:
        """Returns the run of a sub-directory, such as "trials/0003"; it shares the configuration and the lock."""
        return Run(self._path(name), self.config, self._ownership)

    def append(self, event: Mapping[str, Any]) -> None:
        """Appends one event to the log; it is on the disk when this returns."""
        line = encode_json(event, "event")
        self._ownership.record(self._log)
        append_line(self._log, line)

    def events(self) -> list[dict[str, Any]]:
        """Returns the events, oldest first, without a torn last one.

        Raises:
            ValueError: If another line is damaged; the message names it.
        """
        return read_events(self.path)

    def truncate(self, num_events: int) -> None:
        """Keeps only the first events: a resumed run drops those after its checkpoint and repeats them."""
        lines = complete_lines(self._log)
        if not 0 <= num_events <= len(lines):
            raise ValueError(f"`num_events` must be between 0 and {len(lines)}, but got {num_events!r}.")
        if num_events < len(lines):
            write_atomic(self._log, b"".join(line + b"\n" for line in lines[:num_events]))

    def write_json(self, name: str, value: Any) -> None:
        """Replaces a JSON file; keys keep their order, NumPy numbers become plain ones.

        Raises:
            ValueError: If the value contains NaN, infinity or a value that JSON cannot represent.
        """
        self.write_bytes(name, encode_json(value, name, indent=2))

    def read_json(self, name: str, kind: Any = Any) -> Any:
        """Returns the value of a JSON file.

        Raises:
            ValueError: If the file is damaged, or not of a kind (see `kgrow._schema.decoded`); the message names it.
        """
        return read_json(self._path(name), kind)

    def save_arrays(self, name: str, arrays: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Replaces a `.npz` file of arrays and their metadata, so that both are always consistent.

        Args:
            name: Name of the file, with its ".npz".
            arrays: Arrays of numbers, booleans or strings, by name; names may contain "/", and the order is kept.
            metadata: Plain values, stored as JSON.
        """
        self.write_bytes(name, encode_arrays(arrays, metadata))

    def load_arrays(self, name: str, kind: Any = Any) -> tuple[dict[str, np.ndarray], Any]:
        """Returns the arrays and the metadata of a file that `save_arrays` wrote.

        Raises:
            ValueError: If the file is damaged, or the metadata are not of a kind (see `kgrow._schema.decoded`); the
                message names it.
        """
        path = self._path(name)
        return decode_arrays(read_file(path), str(path), kind)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Replaces a file of any kind; on a full disk it is unchanged, and an OSError names it."""
        write_atomic(self.claim(name), data)

    def claim(self, name: str) -> Path:
        """Returns the path for a file that other code writes; `overwrite` and `clear` treat it as kgrow's own."""
        path = self._path(name)
        self._ownership.record(path)
        if path.is_symlink():  # other code would write through it
            path.unlink()
        return path

    def remove_folder(self, name: str) -> None:
        """Removes a folder that other code fills, with all its content; the targets of links in it stay."""
        folder = self._path(name)
        self._ownership.check(folder)
        if folder.exists():
            shutil.rmtree(folder)

    def rename(self, name: str, new_name: str) -> None:
        """Renames a file and replaces an existing file of the new name."""
        os.replace(self._path(name), self.claim(new_name))

    def has(self, name: str) -> bool:
        """Returns whether a file of this name exists."""
        return self._path(name).is_file()

    def remove(self, name: str) -> None:
        """Removes a file; a missing file is not an error."""
        self._path(name).unlink(missing_ok=True)

    def touch(self, name: str) -> None:
        """Marks an existing file as the one written last; see `files`."""
        os.utime(self._path(name), follow_symlinks=os.utime not in os.supports_follow_symlinks)

    def files(self) -> list[str]:
        """Returns the names of the files kgrow wrote here and below, the one written last at the end."""
        present = [path for path in self._ownership.written(self.path) if path.is_file()]
        present.sort(key=lambda path: path.stat().st_mtime_ns)
        return [path.relative_to(self.path).as_posix() for path in present]

    def clear(self) -> None:
        """Removes every file kgrow wrote here and below, except the configuration, and all folders left empty."""
        self._ownership.clear(self.path)

    def _path(self, name: str) -> Path:
        """Returns the path of a file, after checking that no link on the way leads out of the directory."""
        path = locate(self.path, name)
        self._ownership.check(path.parent)
        return path


def read_events(directory: Path) -> list[dict[str, Any]]:
    """Returns the events of a run, oldest first, without a torn last one; the run need not be open.

    Raises:
        ValueError: If another line is damaged; the message names it.
    """
    log = directory / _EVENTS
    return [
        decode_json(line, f"{log}, line {number}", dict) for number, line in enumerate(complete_lines(log), start=1)
    ]


def is_unfinished(directory: str | os.PathLike[str]) -> bool:
    """Returns whether a directory is that of a search without a result."""
    path = Path(directory)
    return all((path / name).is_file() for name in (SETTINGS, SOURCE)) and not (path / RESULT).is_file()


def described(value: Any) -> str:
    """Returns a text for a configuration object, including a user's own, that is the same in every process."""
    kind: Any = type(value)
    if kind.__repr__ is not object.__repr__:
        return repr(value)
    return f"{kind.__module__}.{kind.__qualname__}({vars(value)})"


def _check_equal(path: Path, config: dict[str, Any]) -> None:
    stored = read_json(path / CONFIG, HEADER)
    before, now = _flat({"format": stored["format"], **stored["config"]}), _flat({"format": _FORMAT, **config})
    differing = [key for key in {**before, **now} if before.get(key, ABSENT) != now.get(key, ABSENT)]
    if differing:
        words = "; ".join(_told(key, repr(before.get(key, ABSENT)), repr(now.get(key, ABSENT))) for key in differing)
        raise ValueError(
            f"`directory` must hold a run of the same configuration, but got '{path}', where {words}. "
            "Pass `overwrite=True` (`--overwrite`) to start over, or another `directory` (`--out`)."
        )


def _told(key: str, before: str, now: str) -> str:
    is_long = max(len(before), len(now)) > LONGEST_VALUE
    return f"{key} is another one" if is_long else f"{key} was {before} and is now {now}"


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        inner = _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {}
        flat |= inner or {prefix + key: value}
    return flat
