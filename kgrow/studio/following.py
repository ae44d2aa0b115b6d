"""`Followed`: the state of a search, read from the lines that it writes to a log."""

from __future__ import annotations

import re
from typing import Any

TRIAL = re.compile(r"trial (\S+)(?: \((\d+) of (\d+)\))?: keep .*, (\d+) epochs")
EPOCH = re.compile(r"trial (\S+) epoch (\d+) of (\d+): validation(?: per head)? ([\d. ]+) %")
ENDED = re.compile(r"trial (\S+) \w+: .*validation ([\d.]+) %")
LEFT = re.compile(r"(?:about|at least|at most) [^,]* left.*$")
# Lines that are kept to be shown where a search fails, and how an error of kgrow begins.
NUM_LINES, ERROR = 200, "kgrow: "


class Followed:
    """What the lines of a search have said so far; see `kgrow.reporting.progress.PlainLines`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._state: dict[str, Any] = {"trial": None, "number": None, "trials": None, "epoch": None, "epochs": None}
        self._best: float | None = None
        self._left = self._news = ""

    def add(self, line: str) -> None:
        """Reads one more line."""
        self.lines = [*self.lines[1 - NUM_LINES :], line]
        if found := TRIAL.match(line):
            name, number, trials, epochs = found.groups()
            self._state = {"trial": name, "number": _count(number), "trials": _count(trials)}
            self._state |= {"epoch": 0, "epochs": int(epochs)}
        elif found := EPOCH.match(line):
            self._state |= {"epoch": int(found[2]), "epochs": int(found[3])}
            self._reached(found[4].split()[-1])
            left = LEFT.search(line)
            self._left = left[0] if left else ""
            return
        elif found := ENDED.match(line):
            self._reached(found[2])
        self._news = line

    @property
    def state(self) -> dict[str, Any]:
        """The current trial and its epoch, the best validation accuracy in percent, the time left, the last news."""
        return {**self._state, "best": self._best, "left": self._left, "news": self._news}

    @property
    def error(self) -> str:
        """What a user should read of a search that has failed: kgrow's own message, or else the last lines."""
        starts = [index for index, line in enumerate(self.lines) if line.startswith(ERROR)]
        if starts:
            return "\n".join(self.lines[starts[-1] :]).removeprefix(ERROR)
        return "\n".join(self.lines[-15:])

    def _reached(self, percent: str) -> None:
        self._best = max(self._best or 0.0, float(percent))


def _count(text: str | None) -> int | None:
    return None if text is None else int(text)
