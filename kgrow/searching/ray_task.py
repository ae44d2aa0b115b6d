"""What a worker of a Ray cluster does: it trains one candidate and sends everything that it writes."""

from __future__ import annotations

import dataclasses
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray

from kgrow._files import read_file
from kgrow._keras import pinned, tf
from kgrow._version import __version__
from kgrow.lifecycle import Lifecycle, Settings
from kgrow.run import Run
from kgrow.searching.objective import Objective
from kgrow.searching.proposals import Proposal
from kgrow.searching.trial import Trial
from kgrow.searching.trials import Trials
from kgrow.task import Task
from kgrow.training import Observer

# Seconds between two signs of progress within an epoch.
PROGRESS_S = 0.5

Files = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a worker has come in an epoch; see `Observer.progress`."""

    epoch: int
    done: int
    total: int


@dataclasses.dataclass(frozen=True)
class SearchContext:
    """What all trials of a search have in common; sent to each machine once.

    Args:
        task: The data.
        settings: See `Trials`.
        objective: See `Trials`.
        full_macs: See `Trials`.
        num_threads: Threads that train a trial, on every machine as many: sums in another order differ.
        version: Of the package that began the search.
    """

    task: Task
    settings: Settings
    objective: Objective
    full_macs: int
    num_threads: int
    version: str = __version__

    def train(
        self, index: int, proposal: Proposal, files: Files, deadline: float, send: Callable[[Files | Progress], None]
    ) -> Trial:
        """Trains a candidate in a directory of its own; see `Trials.train`.

        Args:
            index: Number of the trial.
            proposal: What is trained.
            files: Of the trial and of what it starts from.
            deadline: `time.time()`, which machines have in common, after which no epoch is started.
            send: Called with the progress, and after every epoch with the files that have changed.
        """
        with pinned(), tempfile.TemporaryDirectory() as folder, Run.open(folder, {}) as run:
            for name, data in files.items():
                run.write_bytes(name, data)
            sender = FileSender(run, send)
            trials = Trials(self.task, self.settings, self.objective, self.full_macs, run, sender)
            left = deadline - time.time()
            trial = trials.train(index, proposal, time.monotonic() + left, stop=sender.is_over)
            sender.send_files()
            return trial


class FileSender(Observer):
    """Sends what a trial writes.

    Args:
        run: Where it writes.
        send: Called with what has changed.
    """

    def __init__(self, run: Run, send: Callable[[Files | Progress], None]):
        self._run, self._send = run, send
        self._sent = self._versions()
        self._sent_at = -PROGRESS_S

    def progress(self, trial: str, epoch: int, done: int, total: int) -> None:
        """See `Observer.progress`."""
        if time.monotonic() - self._sent_at >= PROGRESS_S:
            self._sent_at = time.monotonic()
            self._send(Progress(epoch, done, total))

    def is_over(self, life: Lifecycle) -> bool:
        """Sends the checkpoint of an epoch. Returns False: the trial goes on."""
        self.send_files()
        return False

    def send_files(self) -> None:
        """Sends the files that have changed."""
        versions = self._versions()
        changed = [name for name, version in versions.items() if version != self._sent.get(name)]
        self._sent = versions
        if changed:
            self._send({name: read_file(self._run.path / name) for name in changed})

    def _versions(self) -> dict[str, tuple[int, int, int]]:
        """Returns, by name, what tells a file from the one that it replaced."""
        found = {name: (self._run.path / name).stat() for name in self._run.files()}
        return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


@ray.remote(max_retries=0, num_returns="streaming")
def train_remotely(
    context: SearchContext, index: int, proposal: Proposal, files: Files, deadline: float
) -> Iterator[Files | Progress | Trial]:
    """Yields what `SearchContext.train` sends, and its outcome."""
    if context.version != __version__:
        raise ValueError(
            f"kgrow must be of the same version on all machines, but is {context.version} where the search began and "
            f"{__version__} here."
        )
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # a GPU may be shared by several trials
    threads = tf.config.threading
    if threads.get_intra_op_parallelism_threads() != context.num_threads:
        threads.set_intra_op_parallelism_threads(context.num_threads)
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def train() -> None:
        try:
            messages.put(context.train(index, proposal, files, deadline, messages.put))
        except BaseException as error:  # raised below, where Ray sees it
            messages.put(error)

    threading.Thread(target=train, name="kgrow-training", daemon=True).start()
    while True:
        message = messages.get()
        if isinstance(message, BaseException):
            raise message
        yield message
        if isinstance(message, Trial):
            return
