"""`RayTrials`: trains candidates as tasks of Ray, on any machine of its cluster.

A task is a function of files: its inputs are the files of its trial (the last checkpoint, if there is one) and the
snapshot that it starts from, and it returns the files that it writes, epoch by epoch. Only this process writes into the
run directory, so machines need no common file system. If a worker is lost another one resumes from the last checkpoint
here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from collections.abc import Iterator
from typing import Any

import ray

from kgrow._files import read_file
from kgrow.lifecycle import LAST
from kgrow.run import Run
from kgrow.searching.engine import Ray
from kgrow.searching.prefixes import log_of
from kgrow.searching.proposals import Proposal
from kgrow.searching.ray_task import Files, Progress, SearchContext, train_remotely
from kgrow.searching.trial import Trial
from kgrow.searching.trials import OUTCOME, Trials

# Seconds within which the head of a cluster must answer.
REACHED_S = 10
# Workers that a trial may lose without an epoch in between: a worker killed for its memory would be killed again.
MOST_LOSSES = 3


@dataclasses.dataclass
class RemoteTrial:
    """A trial that a worker trains.

    Args:
        proposal: Candidate to train.
        deadline: `time.time()` value after which no epoch is started.
        stream: Messages of the worker.
        losses: Number of workers lost since the last files arrived.
        outcome: Outcome of the trial, once it has ended.
    """

    proposal: Proposal
    deadline: float
    stream: Any
    losses: int = 0
    outcome: Trial | None = None


class RayTrials:
    """Trains candidates on a cluster, as many at once as fit there; see `Trainable`.

    The display shows the unfinished trial with the lowest number; the others train silently.

    Args:
        trials: Trials in the search's run.
        engine: Cluster and resources of each trial.
    """

    def __init__(self, trials: Trials, engine: Ray):
        self.trials, available = trials, ray.cluster_resources()
        self.at_once = engine.trials_at_once(available)
        task = dataclasses.replace(trials.task, test=trials.task.validation)  # workers do not read test images
        context = SearchContext(task, trials.settings, trials.objective, trials.full_macs, max(1, int(engine.cpus)))
        self._task, self._context = train_remotely.options(**engine.resources(available)), ray.put(context)
        self._remote: dict[int, RemoteTrial] = {}
        trials.observer.note(f"the Ray cluster trains up to {self.at_once} trials at once")

    def directory(self, index: int) -> Run:
        """See `Trials.directory`."""
        return self.trials.directory(index)

    def num_begun(self) -> int:
        """See `Trials.num_begun`."""
        return self.trials.num_begun()

    def fits(self, index: int, proposal: Proposal, deadline: float) -> bool:
        """See `Trials.fits`; on a cluster candidates are not paced."""
        return True

    def begin(self, index: int, proposal: Proposal, deadline: float) -> None:
        """Submits a candidate to the cluster, unless it is known or an equal one is running."""
        under_way = (remote.proposal.values for remote in self._remote.values())
        if proposal.values not in under_way and self.trials.known(index, proposal) is None:
            self._submit(index, proposal, deadline)

    def train(self, index: int, proposal: Proposal, deadline: float) -> Trial:
        """Waits for the outcome of a candidate and returns it; see `Trials.train`."""
        if index not in self._remote:
            known = self.trials.known(index, proposal)
            if known is not None:
                self.trials.accept(index, known)
                return known
            self._submit(index, proposal, deadline)
        trial = self._wait(index)
        del self._remote[index]
        self.trials.accept(index, trial)
        return trial

    def _submit(self, index: int, proposal: Proposal, deadline: float) -> None:
        deadline = deadline - time.monotonic() + time.time()
        self._remote[index] = RemoteTrial(proposal, deadline, self._stream(index, proposal, deadline))

    def _stream(self, index: int, proposal: Proposal, deadline: float) -> Any:
        return self._task.remote(self._context, index, proposal, self._files(index, proposal), deadline)

    def _files(self, index: int, proposal: Proposal) -> Files:
        run, folder = self.trials.run, self.directory(index)
        prefix = self.trials.prefixes.deepest(proposal.candidate)
        names = [f"trials/{index:04d}/{name}" for name in folder.files()]
        names += [prefix, log_of(prefix)] if prefix else []
        return {name: read_file(run.path / name) for name in names}

    def _wait(self, index: int) -> Trial:
        remote, observer, name = self._remote[index], self.trials.observer, f"{index:04d}"
        observer.trial_started(name, remote.proposal.candidate.keep_ratios, self.trials.settings.preset.epochs)
        num_told = self._tell(index, 0)
        while remote.outcome is None:
            under_way = {each.stream: number for number, each in self._remote.items() if each.outcome is None}
            ready, _ = ray.wait(list(under_way), num_returns=1)
            for number in (under_way[stream] for stream in ready):
                message = self._received(number)
                if number == index and isinstance(message, Progress):
                    observer.progress(name, message.epoch, message.done, message.total)
            num_told = self._tell(index, num_told)
        observer.trial_finished(name, dataclasses.asdict(remote.outcome))
        return remote.outcome

    def _tell(self, index: int, num_told: int) -> int:
        """Notifies the observer of new events in the log of a trial; returns the total number notified."""
        events = self.directory(index).events()
        for event in events[num_told:]:
            self.trials.observer.event(f"{index:04d}", event)
        return max(num_told, len(events))

    def _received(self, index: int) -> Files | Progress | Trial | None:
        """Receives a message of a worker and returns it; None if the worker is lost and another one resumes."""
        remote = self._remote[index]
        try:
            message = ray.get(next(remote.stream))
        except ray.exceptions.RayTaskError:  # an error of the trial itself
            raise
        except ray.exceptions.RayError as loss:
            self._send_again(index, remote, loss)
            return None
        if isinstance(message, Trial):
            remote.outcome = message
        elif isinstance(message, dict):
            self._keep(message)
            remote.losses = 0
        return message

    def _keep(self, files: Files) -> None:
        """Writes a trial's files; the outcome marks it as complete, and the checkpoint covers its log."""
        for name in sorted(files, key=lambda name: (name.endswith(OUTCOME), name.endswith(LAST))):
            self.trials.run.write_bytes(name, files[name])

    def _send_again(self, index: int, remote: RemoteTrial, loss: Exception) -> None:
        remote.losses += 1
        if remote.losses == MOST_LOSSES:
            raise RuntimeError(
                f"Trial {index:04d} lost {MOST_LOSSES} workers, none of which had trained an epoch before. Give "
                "each trial more of a machine (`tuning=kgrow.Tuning(engine=kgrow.Ray(cpus=...))`). The last one: "
                f"{loss}"
            ) from loss
        self.trials.observer.note(f"trial {index:04d}: its worker was lost; another one goes on from the checkpoint")
        remote.stream = self._stream(index, remote.proposal, remote.deadline)


@contextlib.contextmanager
def connected(engine: Ray) -> Iterator[None]:
    """Connects this process to a cluster; an existing connection is used and left open.

    Raises:
        ConnectionError: If it cannot be reached.
    """
    if ray.is_initialized():
        yield
        return
    try:
        if engine.address is not None:  # Ray would retry for minutes
            host, _, port = engine.address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), REACHED_S).close()
        ray.init(address=engine.address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise ConnectionError(
            f"`tuning.engine` must be a Ray cluster that can be reached, but {engine.address or 'the one here'} "
            f"cannot: {error}. Start it (`ray start --head`), and run the search on one of its machines."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
