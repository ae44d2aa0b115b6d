"""`Process`: a command of kgrow in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

INTERRUPT = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)
# Seconds that a search has to keep its checkpoint after an interrupt, before it is ended.
PATIENCE_S = 60.0


class Process:
    """A command of kgrow that runs in a process of its own.

    Args:
        words: Command as a user would type it; the first word is `kgrow`.
        told: Called with each line that it writes to standard error, in another thread.
    """

    def __init__(self, words: Sequence[str], told: Callable[[str], None] = lambda line: None) -> None:
        # In a group of its own: Ctrl-C in the terminal reaches the studio alone, which then interrupts the search.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kgrow", *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONIOENCODING": "utf-8:backslashreplace", "PYTHONUNBUFFERED": "1"},
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            start_new_session=os.name != "nt",
        )
        self._told = told
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Waits for its end, and that of its lines; returns its exit code."""
        self._process.wait()
        self._reader.join()
        return self._process.returncode

    def interrupt(self) -> None:
        """Does what Ctrl-C does in a terminal."""
        if self.is_running:
            self._process.send_signal(INTERRUPT)

    def end(self) -> None:
        """Interrupts it and waits for its end; whatever ignores the interrupt for too long is killed."""
        self.interrupt()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.wait()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._told(line.rstrip())
