"""What processes of one search share through the run directory; no two of them ever write the same file.

chief.json           by the chief: what proves that a worker sees the same directory
trials/NNNN/         by the chief: what it has collected of trials that have ended
workers/NAME/        by the worker of that name: a run with trials and prefixes of its own, which the others read
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

from kgrow._encoding import decode_arrays
from kgrow._files import check_inside, read_file, read_json
from kgrow.lifecycle import LAST
from kgrow.run import RESULT, Run
from kgrow.searching.proposals import Proposal
from kgrow.searching.trial import Trial
from kgrow.searching.trials import OUTCOME, Trials

CHIEF, WORKERS = "chief.json", "workers"
_KINDS = {".json", ".jsonl", ".npz"}


def is_complete(path: Path, trials: int = 1) -> bool:
    """Returns whether a search has written its result, every trial of it has ended, and no more are asked for."""
    if not (path / RESULT).is_file():
        return False
    found = read_json(path / RESULT, {"complete": bool, "trials": int})
    return found["complete"] and found["trials"] >= trials


def collect(run: Run, worker: str, index: int) -> None:
    """Copies what a worker has left of a trial that has ended into the search's own directory."""
    if not run.has(f"{_trial(index)}/{OUTCOME}"):
        source = run.path / WORKERS / worker / _trial(index)
        check_inside(run.path, source)
        _copy(source, run.child(_trial(index)), last=OUTCOME)


def sweep(path: Path) -> None:
    """Removes the directories of workers that have ended."""
    for folder in path.glob(f"{WORKERS}/*"):
        with contextlib.suppress(OSError, ValueError):  # in use, or not ours
            check_inside(path, folder)
            Run.open(folder, {}, overwrite=True).delete()
    with contextlib.suppress(OSError):  # not there, or not empty
        (path / WORKERS).rmdir()


class SharedTrials:
    """A worker's trials, which go on from what the chief and other workers have left.

    Args:
        trials: In the worker's own run.
        path: The search's run directory.
    """

    def __init__(self, trials: Trials, path: Path):
        self.trials, self.path = trials, path

    def train(self, index: int, proposal: Proposal, deadline: float = float("inf"), epochs: int | None = None) -> Trial:
        """Trains a candidate, from the checkpoint of the worker that had it before; see `Trials.train`."""
        self._read_outcomes()
        self._take_up(index)
        self._take_prefix(proposal, epochs or self.trials.settings.preset.epochs)
        return self.trials.train(index, proposal, deadline, epochs)

    def directory(self, index: int) -> Run:
        """Returns the worker's own sub-directory of a trial."""
        return self.trials.directory(index)

    def _read_outcomes(self) -> None:
        """Learns what has ended: equal candidates are trained once, and only the best networks stay."""
        for path in self.path.glob(f"trials/*/{OUTCOME}"):
            self.trials.outcomes[int(path.parent.name)] = read_json(path, Trial)

    def _take_up(self, index: int) -> None:
        """Copies what others have left of a trial, if it is further than what this worker has."""
        own = self.trials.directory(index)
        others = [self.path / _trial(index), *self._others(_trial(index))]
        furthest = max(others, key=_progress)
        if _progress(furthest) > _progress(own.path):
            _copy(furthest, own, last=LAST)

    def _take_prefix(self, proposal: Proposal, epochs: int) -> None:
        """Copies the deepest snapshot that the candidate may start from, unless this worker has it."""
        for name in self.trials.prefix_names(proposal.candidate, epochs):
            if self.trials.run.has(name):
                return
            for path in self._others(name):
                with contextlib.suppress(FileNotFoundError):  # its worker has just removed it
                    self.trials.run.write_bytes(name, read_file(path))
                    return

    def _others(self, name: str) -> list[Path]:
        """Returns where other workers have something of this name."""
        workers = sorted(self.path.glob(f"{WORKERS}/*/"))
        return [worker / name for worker in workers if worker.name != self.trials.run.path.name]


def _trial(index: int) -> str:
    return f"trials/{index:04d}"


def _progress(folder: Path) -> float:
    """Returns the epochs behind a trial's checkpoint, infinity if it has ended, -1 if there is neither."""
    if (folder / OUTCOME).is_file():
        return math.inf
    try:
        return decode_arrays(read_file(folder / LAST), str(folder / LAST), {"epoch": int})[1]["epoch"]
    except FileNotFoundError:
        return -1


def _copy(source: Path, target: Run, last: str) -> None:
    """Copies a trial's files; the one that says that they are complete is read first and written last.

    The worker that left them may be alive after all: what it writes in between is of epochs that are trained again.
    """
    paths = [path for path in sorted(source.iterdir()) if path.suffix in _KINDS and path.name != last]
    contents = {last: read_file(source / last)} if (source / last).is_file() else {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # removed since
            target.write_bytes(path.name, read_file(path))
    for name, data in contents.items():
        target.write_bytes(name, data)
