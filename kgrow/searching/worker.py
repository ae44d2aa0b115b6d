"""`Desk`: where a worker trains the trials that a chief gives it."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kgrow._files import check_inside, read_json
from kgrow.lifecycle import Observer, OutOfTimeError
from kgrow.run import RESULT, Run
from kgrow.searching.cluster import BEAT_S, ORACLE_IP, ORACLE_PORT, TUNER_ID, Address, Worker
from kgrow.searching.line import Line, LostTrialError
from kgrow.searching.shared import CHIEF, WORKERS, is_complete, sweep
from kgrow.searching.tuner import FOLDER, Tuner, run_tuner

POLL_S = 0.5
NOT_THE_CHIEF = "worker"  # what KerasTuner calls it; the chief knows it by the name that goes with every call


class Desk:
    """A worker's place: its line to the chief and its own run below the chief's run directory; made by `open_desk`.

    Args:
        worker: Who works.
        path: The chief's run directory.
        line: To the chief.
        run: The worker's own.
    """

    def __init__(self, worker: Worker, path: Path, line: Line, run: Run):
        self.worker, self.path, self.line, self.run = worker, path, line, run

    def work(self, tuner: Tuner, observer: Observer) -> None:
        """Trains trials until all of the search have ended, or the time allowed.

        Raises:
            ConnectionError: If the chief has ended or cannot be reached.
            Exception: What a trial raised; the chief is told.
        """
        tuner.oracle.stub = self.line
        self.line.start()
        while True:
            try:
                return run_tuner(tuner)
            except LostTrialError as loss:
                observer.note(str(loss))
            except (ConnectionError, KeyboardInterrupt):
                raise
            except Exception:
                # A chief that is gone or wants nothing of this trial need not know.
                with contextlib.suppress(ConnectionError, LostTrialError, OutOfTimeError):
                    self.line.fail(traceback.format_exc())
                raise

    def wait_for_result(self) -> bool:
        """Waits until the chief has written its result, or has ended; returns whether the result is complete.

        Raises:
            ConnectionError: If the chief ended without any.
        """
        heard = time.monotonic()
        while not is_complete(self.path):
            try:
                self.line.greet(BEAT_S)
                heard = time.monotonic()
            except ConnectionError:
                if time.monotonic() - heard >= self.worker.wait_s:
                    if (self.path / RESULT).is_file():
                        return False
                    raise
            time.sleep(POLL_S)
        return True

    def clear(self) -> None:
        """Removes the worker's own directory: the chief has collected what it needs."""
        self.run.delete()
        sweep(self.path)


@contextlib.contextmanager
def open_desk(worker: Worker, path: Path, config: Mapping[str, Any]) -> Iterator[Desk]:
    """Yields a worker's desk, when the chief can be reached and does the same search.

    Args:
        worker: Who works.
        path: The chief's run directory.
        config: The resolved configuration, which must be the chief's.

    Raises:
        ConnectionError: If the chief cannot be reached.
        ValueError: If it does another search, or in another directory.
        BlockingIOError: If another worker has the same name.
    """
    line = Line(worker)
    try:
        line.connect()
        Run.check(path, config)
        line.token = _token(path)
        line.greet(worker.wait_s)
        check_inside(path, path / WORKERS / worker.name)
        with _role(worker), Run.open(path / WORKERS / worker.name, {}) as run:
            run.claim(f"{FOLDER}/{NOT_THE_CHIEF}.json")  # KerasTuner's own file
            yield Desk(worker, path, line, run)
    finally:
        line.close()


def _token(path: Path) -> str:
    file = path / CHIEF
    if not file.is_file():
        raise ValueError(f"`directory` must hold a search that a chief serves, but '{path}' has no {CHIEF}.")
    return read_json(file, {"token": str})["token"]


@contextlib.contextmanager
def _role(worker: Worker) -> Iterator[None]:
    """Tells KerasTuner that this process is a worker: it looks nowhere but in the environment."""
    address = Address.parse(worker.address)
    role = {ORACLE_IP: address.host, ORACLE_PORT: str(address.port), TUNER_ID: NOT_THE_CHIEF}
    before = {name: os.environ.get(name) for name in role}
    os.environ.update(role)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Attentive(Observer):
    """A display that also looks, at every step of the training, whether the chief has ended the work.

    Args:
        display: Told everything.
        line: To the chief.
    """

    def __init__(self, display: Observer, line: Line):
        self.display, self.line = display, line

    def search_started(self, epochs: Sequence[int]) -> None:
        """Of a search on several machines nobody knows how many trials will be this worker's."""

    def trial_started(self, trial: str, keep_ratios: tuple[float, ...], epochs: int) -> None:
        """See `Observer.trial_started`."""
        self.display.trial_started(trial, keep_ratios, epochs)

    def event(self, trial: str, event: Mapping[str, Any]) -> None:
        """See `Observer.event`."""
        self.display.event(trial, event)

    def progress(self, trial: str, epoch: int, done: int, total: int) -> None:
        """See `Observer.progress`; raises what `Line.check` does."""
        self.line.check()
        self.display.progress(trial, epoch, done, total)

    def trial_finished(self, trial: str, outcome: Mapping[str, Any]) -> None:
        """See `Observer.trial_finished`."""
        self.display.trial_finished(trial, outcome)

    def note(self, text: str) -> None:
        """See `Observer.note`."""
        self.display.note(text)
