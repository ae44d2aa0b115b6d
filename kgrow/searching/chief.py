"""`Server`: the chief of a search on several machines serves trials until all have ended."""

from __future__ import annotations

import secrets
import time
from concurrent import futures
from types import TracebackType

import grpc

from kgrow._keras import quiet_stderr
from kgrow.lifecycle import Observer, OutOfTimeError
from kgrow.searching.cluster import BEAT_S, Address, Chief
from kgrow.searching.leases import Leases
from kgrow.searching.ledger import Ledger
from kgrow.searching.service import Service
from kgrow.searching.shared import CHIEF, sweep
from kgrow.searching.trials import Trials
from kgrow.searching.tuner import Tuner, quiet_keras_tuner

with quiet_stderr():
    from keras_tuner.src import protos

POLL_S = 0.2


class Server:
    """Holds the chief's port until the search has its result, so that workers can tell a chief at work from a dead one.

    Args:
        chief: Where, and how long a lease is.

    Raises:
        OSError: If the port is in use, or the address is not this machine's.
    """

    def __init__(self, chief: Chief):
        self.chief, self._service = chief, Service(Leases(chief.lease_s))
        self._is_interrupted = False
        # Without the option a second chief would share the port and take half of the calls.
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
        protos.get_service_grpc().add_OracleServicer_to_server(self._service, self._server)
        address = str(Address.parse(chief.address))
        if not self._bind(address):
            raise OSError(
                f"`chief` must be a free port of this machine, but {address} cannot be listened on: it is in use, or "
                "the host is another machine. Choose another port, or end what listens there."
            )

    def _bind(self, address: str) -> bool:
        with quiet_stderr():
            try:
                return bool(self._server.add_insecure_port(address))
            except RuntimeError:
                return False

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets the port go, when workers had the time to hear that the search is over."""
        if self._is_interrupted:
            time.sleep(2 * BEAT_S)
        self._server.stop(BEAT_S).wait()

    def serve(self, tuner: Tuner, trials: Trials, observer: Observer, deadline: float = float("inf")) -> None:
        """Serves trials until all have ended, or the time allowed.

        Args:
            tuner: Its oracle decides what is tried; it trains nothing here.
            trials: Take in the outcomes.
            observer: Told what happens, from this thread.
            deadline: `time.monotonic()` at which workers are told to stop.

        Raises:
            RuntimeError: If a trial raised an error in a worker; the message holds its traceback.
            OutOfTimeError: If the deadline passed before a trial had ended.
        """
        run = trials.run
        if not run.has(CHIEF):
            sweep(run.path)  # what workers of an earlier run left
            run.write_json(CHIEF, {"token": secrets.token_hex(16)})
        with quiet_keras_tuner():
            ledger = Ledger(tuner.oracle, tuner.proposals, trials, run)
            ledger.adopt()
            self._service.open(ledger, run.read_json(CHIEF, {"token": str})["token"])
            self._server.start()
            observer.note(f"serving trials at {Address.parse(self.chief.address)} for workers that connect")
            while not self._service.tend(observer) and time.monotonic() < deadline:
                time.sleep(POLL_S)
            self._is_interrupted = self._service.close()
            self._service.tend(observer)
        if not any(trial.status in ("done", "failed") for trial in trials.outcomes.values()):
            raise OutOfTimeError(
                "`max_time` must leave room for one trial to end, but ended before that. Checkpoints are kept: the "
                "same call goes on from there."
            )
