"""The worker of a Ray cluster: trains one candidate and sends all the files that it writes."""

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

# Seconds between two progress messages within an epoch.
PROGRESS_S = 0.5

Files = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Progress:
    """The progress of a worker in an epoch; see `Observer.progress`."""

    epoch: int
    done: int
    total: int


@dataclasses.dataclass(frozen=True)
class SearchContext:
    """The common data of all trials of a search, sent to each machine once.

    Args:
        task: Data of the search.
        settings: Training settings; see `Trials`.
        objective: Objective of the search; see `Trials`.
        full_macs: Multiply-accumulates of the largest network; see `Trials`.
        num_threads: Number of threads that train a trial, the same on every machine: sums in another order differ.
        version: Version of the package that started the search.
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
        """Trains a candidate in a separate directory; see `Trials.train`.

        Args:
            index: Number of the trial.
            proposal: Candidate to train.
            files: Files of the trial and of the snapshot that it starts from.
            deadline: `time.time()` value, common to all machines, after which no epoch is started.
            send: Function called with the progress, and after every epoch with the changed files.
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
    """Sends the files that a trial writes.

    Args:
        run: Run of the trial.
        send: Function called with the changed files.
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
        """Sends the checkpoint of an epoch. Returns False: the trial continues."""
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
        """Returns, by name, values that distinguish a file from its earlier version."""
        found = {name: (self._run.path / name).stat() for name in self._run.files()}
        return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


@ray.remote(max_retries=0, num_returns="streaming")
def train_remotely(
    context: SearchContext, index: int, proposal: Proposal, files: Files, deadline: float
) -> Iterator[Files | Progress | Trial]:
    """Yields the messages of `SearchContext.train`, and its outcome."""
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
        except BaseException as error:  # raised again below for Ray
            messages.put(error)

    threading.Thread(target=train, name="kgrow-training", daemon=True).start()
    while True:
        message = messages.get()
        if isinstance(message, BaseException):
            raise message
        yield message
        if isinstance(message, Trial):
            return
