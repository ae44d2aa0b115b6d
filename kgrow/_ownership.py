"""`Ownership`: who holds a run directory, and which of its files are kgrow's."""

from __future__ import annotations

import contextlib
import os
import weakref
from pathlib import Path
from typing import final

from kgrow._files import (
    append_line,
    complete_lines,
    decode_json,
    drop_torn_line,
    encode_json,
    locate,
    lock_file,
    temporary,
)

CONFIG, LOCK, MANIFEST = "config.json", "kgrow.lock", "kgrow.files"


@final
class Ownership:
    """The hold on a run directory until `release`, and the list of the files kgrow wrote there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.release = weakref.finalize(self, os.close, lock_file(root / LOCK))
        self._manifest = root / MANIFEST
        self._names: set[str] = set()

    def recover(self) -> None:
        """Reads the list and removes what a killed process left half written."""
        drop_torn_line(self._manifest)
        self._names = {str(decode_json(line, str(self._manifest))) for line in complete_lines(self._manifest)}
        for path in [self._root / CONFIG, *self.written(self._root)]:
            temporary(path).unlink(missing_ok=True)

    def record(self, path: Path) -> None:
        """Lists a file before it is first written: what is not listed is never removed."""
        name = path.relative_to(self._root).as_posix()
        if name not in self._names:
            append_line(self._manifest, encode_json(name, "name"))
            self._names.add(name)

    def clear(self, folder: Path) -> None:
        """Removes the listed files below a folder, and the folders that become empty."""
        for path in self.written(folder):
            path.unlink(missing_ok=True)
            for parent in path.parents[: len(path.relative_to(self._root).parts) - 1]:
                with contextlib.suppress(OSError):  # it holds something else, or is gone already
                    parent.rmdir()

    def written(self, folder: Path) -> list[Path]:
        """Returns the listed files below a folder, whether they are there or not."""
        paths = [locate(self._root, name) for name in sorted(self._names)]
        return [path for path in paths if folder in path.parents]
