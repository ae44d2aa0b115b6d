"""`Uploads`: the folders of images that a browser has sent."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterable, Iterator
from pathlib import Path

from kgrow.studio.archives import MAX_ARCHIVE_BYTES, unpack
from kgrow.studio.names import free_name

# No run has this name: names of runs begin with a letter or a digit.
FOLDER, PARTIAL = "_uploads", ".partial-"


class Uploads:
    """The folders of images that a browser has sent, beside the runs.

    Args:
        runs: Directory of the runs.
    """

    def __init__(self, runs: Path) -> None:
        self._directory = runs / FOLDER
        for left in self._directory.glob(f"{PARTIAL}*"):  # by a studio that was killed
            shutil.rmtree(left, ignore_errors=True)

    def folders(self) -> list[Path]:
        """Returns the folders that are there, by name."""
        found = self._directory.iterdir() if self._directory.is_dir() else ()
        return sorted(path for path in found if path.is_dir() and not path.name.startswith("."))

    async def receive(self, name: str, chunks: AsyncIterable[bytes]) -> Path:
        """Stores a zip as a folder; one that ends early, or may not be unpacked, leaves nothing behind.

        Args:
            name: Name of the zip or of the folder that is in it.
            chunks: Bytes of the zip, as they come.

        Returns:
            The folder of class folders.

        Raises:
            ValueError: If it is not a zip of usable files; the message says why.
            OSError: If the disk is full.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=self._directory))
        try:
            await _store(chunks, scratch / "sent.zip")
            await asyncio.to_thread(unpack, scratch / "sent.zip", scratch / "images")
            inner = _inner(scratch / "images")
            target = free_name(self._directory, name.removesuffix(".zip"))
            return inner.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def remove(self, folder: Path) -> None:
        """Removes a folder that nobody waits for any more."""
        shutil.rmtree(folder, ignore_errors=True)


def counted(folder: Path) -> dict[str, int]:
    """Returns the number of files in each folder directly in one, also further below."""
    return {path.name: sum(1 for _ in _files(path)) for path in sorted(folder.iterdir()) if path.is_dir()}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


async def _store(chunks: AsyncIterable[bytes], path: Path) -> None:
    total = 0
    with path.open("wb") as file:
        async for chunk in chunks:
            total += len(chunk)
            if total > MAX_ARCHIVE_BYTES:
                raise ValueError(
                    f"What is dropped must have at most {MAX_ARCHIVE_BYTES} bytes, but has more. Type the path of the "
                    "folder in place of sending it."
                )
            file.write(chunk)


def _inner(folder: Path) -> Path:
    """Returns the only folder in a folder, as long as there are folders in it again: those of the classes."""
    while True:
        entries = list(folder.iterdir())
        if len(entries) != 1 or not entries[0].is_dir() or not any(path.is_dir() for path in entries[0].iterdir()):
            return folder
        folder = entries[0]
