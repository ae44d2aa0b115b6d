"""What a worker of a Ray cluster does: it trains one candidate and sends everything that it writes."""

from __future__ import annotations

import dataclasses
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray

import kgrow
from kgrow._files import read_file
from kgrow._keras import pinned, tf
from kgrow.lifecycle import Lifecycle, Observer, Settings
from kgrow.run import Run
from kgrow.searching.objective import Objective
from kgrow.searching.proposals import Proposal
from kgrow.searching.trial import Trial
from kgrow.searching.trials import Trials
from kgrow.task import Task

# Seconds between two signs of progress within an epoch.
PROGRESS_S = 0.5

Files = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Step:
    """How far a worker has come in an epoch; see `Observer.progress`."""

    epoch: int
    done: int
    total: int


@dataclasses.dataclass(frozen=True)
class Work:
    """What all trials of a search have in common; sent to each machine once.

    Args:
        task: The data.
        settings: See `Trials`.
        objective: See `Trials`.
        full_macs: See `Trials`.
        num_threads: That train a trial: sums in another order differ, so their number is that of every machine.
        version: Of the package that began the search.
    """

    task: Task
    settings: Settings
    objective: Objective
    full_macs: int
    num_threads: int
    version: str = kgrow.__version__

    def train(
        self, index: int, proposal: Proposal, files: Files, deadline: float, say: Callable[[Files | Step], None]
    ) -> Trial:
        """Trains a candidate in a directory of its own; see `Trials.train`.

        Args:
            index: Number of the trial.
            proposal: What is trained.
            files: Of the trial and of what it starts from.
            deadline: `time.time()`, which machines have in common, after which no epoch is started.
            say: Gets the progress, and after every epoch the files that have changed.
        """
        with pinned(), tempfile.TemporaryDirectory() as folder, Run.open(folder, {}) as run:
            for name, data in files.items():
                run.write_bytes(name, data)
            courier = Courier(run, say)
            trials = Trials(self.task, self.settings, self.objective, self.full_macs, run, courier)
            left = deadline - time.time()
            trial = trials.train(index, proposal, time.monotonic() + left, stop=courier.is_over)
            courier.send()
            return trial


class Courier(Observer):
    """Sends what a trial writes.

    Args:
        run: Where it writes.
        say: Where to.
    """

    def __init__(self, run: Run, say: Callable[[Files | Step], None]):
        self._run, self._say = run, say
        self._sent = self._state()
        self._said_at = -PROGRESS_S

    def progress(self, trial: str, epoch: int, done: int, total: int) -> None:
        """See `Observer.progress`."""
        if time.monotonic() - self._said_at >= PROGRESS_S:
            self._said_at = time.monotonic()
            self._say(Step(epoch, done, total))

    def is_over(self, life: Lifecycle) -> bool:
        """Sends the checkpoint of an epoch; after none does the trial end."""
        self.send()
        return False

    def send(self) -> None:
        """Sends the files that have changed."""
        state = self._state()
        changed = {name: read_file(self._run.path / name) for name in state if state[name] != self._sent.get(name)}
        self._sent = state
        if changed:
            self._say(changed)

    def _state(self) -> dict[str, int]:
        return {name: (self._run.path / name).stat().st_mtime_ns for name in self._run.files()}


@ray.remote(max_retries=0, num_returns="streaming")
def train_remotely(
    work: Work, index: int, proposal: Proposal, files: Files, deadline: float
) -> Iterator[Files | Step | Trial]:
    """Yields what `Work.train` says, and its outcome."""
    if work.version != kgrow.__version__:
        raise ValueError(
            f"kgrow must be of the same version on all machines, but is {work.version} where the search began and "
            f"{kgrow.__version__} here."
        )
    threads = tf.config.threading
    if threads.get_intra_op_parallelism_threads() != work.num_threads:
        threads.set_intra_op_parallelism_threads(work.num_threads)
    said: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def train() -> None:
        try:
            said.put(work.train(index, proposal, files, deadline, said.put))
        except BaseException as error:  # raised below, where Ray sees it
            said.put(error)

    threading.Thread(target=train, name="kgrow-training", daemon=True).start()
    while True:
        message = said.get()
        if isinstance(message, BaseException):
            raise message
        yield message
        if isinstance(message, Trial):
            return
