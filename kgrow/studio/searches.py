"""`Searches`: one search at a time, and what follows it."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kgrow.run import RESULT, is_unfinished
from kgrow.studio.following import EPOCH, Followed
from kgrow.studio.process import Process

NO_NETWORK = "The search was stopped before its first epoch had ended. There is no network yet."


class Searches:
    """One search at a time, in processes of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: _Search | None = None

    def start(self, run: Path, words: Sequence[str]) -> None:
        """Starts a search, or goes on with one.

        Args:
            run: Its run directory.
            words: Its command.

        Raises:
            RuntimeError: If another one is running.
        """
        with self._lock:
            if self._current is not None and self._current.is_running:
                raise RuntimeError(
                    f"One search runs at a time, and {self._current.run.name!r} has not ended. Stop it, or wait."
                )
            self._current = _Search(run, words)
            self._current.start()

    def stop(self) -> None:
        """Ends the search with its best network so far."""
        if self._current is not None:
            self._current.stop()

    def close(self) -> None:
        """Interrupts the search, so that it can go on another day, and waits for its end."""
        if self._current is not None:
            self._current.close()

    @property
    def is_running(self) -> bool:
        """Whether a search, or what follows it, has not ended yet."""
        return self._current is not None and self._current.is_running

    @property
    def state(self) -> dict[str, Any] | None:
        """The search that runs, or was the last one to end; None before the first one."""
        return None if self._current is None else self._current.state


class _Search:
    """A search, the report beside it, and what is written after its end.

    `phase` is `"searching"`, `"stopping"`, `"reporting"`, and then `"done"`, `"failed"` or `"interrupted"`.
    """

    def __init__(self, run: Path, words: Sequence[str]) -> None:
        self.run, self.words, self.phase, self.error = run, tuple(words), "searching", ""
        self._followed = Followed()
        self._is_stopped = self._is_closed = False
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._watcher: Process | None = None
        self._thread = threading.Thread(target=self._work)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    @property
    def state(self) -> dict[str, Any]:
        """What the page shows of it."""
        known = {"run": self.run.name, "command": list(self.words), "phase": self.phase, "error": self.error}
        return {**known, **self._followed.state}

    def start(self) -> None:
        """Starts its first process."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the search itself; what follows it goes on."""
        with self._lock:
            if self.phase == "searching" and not self._is_stopped:
                self._is_stopped, self.phase = True, "stopping"
                if self._process is not None:
                    self._process.interrupt()

    def close(self) -> None:
        """Ends everything."""
        with self._lock:
            self._is_closed = True
        for running in (self._process, self._watcher):
            if running is not None:
                running.end()
        self._thread.join()

    def _work(self) -> None:
        try:
            self._search()
        finally:
            self._end_watcher()

    def _search(self) -> None:
        code = self._called(self.words, self._told)
        if self._is_stopped and not (self.run / RESULT).is_file():
            self._end_watcher()
            code = self._settled()
        if self._is_closed:
            self.phase = "interrupted"
        elif code:
            self.phase, self.error = "failed", self.error or self._followed.error
        else:
            self.phase = "reporting"
            self._report()
            self.phase = "interrupted" if self._is_closed else "done"

    def _settled(self) -> int:
        """Ends the search with its best network so far; returns an exit code."""
        if not is_unfinished(self.run):
            self.error = NO_NETWORK
            return 1
        with tempfile.TemporaryDirectory() as scratch:  # the run directory has the same files afterwards
            return self._called(["kgrow", "export", str(self.run), "--out", f"{scratch}/out"], self._followed.add)

    def _report(self) -> None:
        """Writes the report of the finished search, unless the one that was beside it does."""
        if self._watcher is None or self._watcher.wait():
            self._called(["kgrow", "report", str(self.run), "--overwrite"], lambda line: None)

    def _told(self, line: str) -> None:
        self._followed.add(line)
        if self._watcher is None and EPOCH.match(line) and not self._is_stopped and not self._is_closed:
            self._watcher = Process(["kgrow", "report", str(self.run), "--overwrite", "--watch"])

    def _called(self, words: Sequence[str], told: Any) -> int:
        """Runs a command to its end; returns its exit code, 130 where it need not be run."""
        with self._lock:
            if self._is_closed:
                return 130
            self._process = Process(words, told)
            if self._is_stopped and words is self.words:  # before it had begun
                self._process.interrupt()
        return self._process.wait()

    def _end_watcher(self) -> None:
        if self._watcher is not None and self._watcher.is_running:
            self._watcher.end()
        self._watcher = None
