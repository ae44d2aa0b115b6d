"""`Line`: what a worker says to its chief, bounded in time, and the words of the chief that end its work."""

from __future__ import annotations

import threading
import time
from typing import Any

import grpc

from kgrow._keras import quiet_stderr
from kgrow.lifecycle import OutOfTimeError
from kgrow.searching.cluster import BEAT_S, Address, Worker

with quiet_stderr():
    import keras_tuner
    from keras_tuner.src import protos
    from keras_tuner.src.engine.trial import TrialStatus

# What goes with every call.
NAME, TOKEN, MESSAGE = "kgrow-worker", "kgrow-token", "kgrow-message-bin"
# How the chief refuses: another worker has the trial, the time is over, this is not its run directory.
LOST, OVER, STRANGER = grpc.StatusCode.ABORTED, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.PERMISSION_DENIED
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
PAUSE_S = 0.5
LONGEST_MESSAGE = 4000  # bytes; gRPC refuses more than 8 KB beside a call


class LostTrialError(RuntimeError):
    """The chief took this worker for dead and gave its trial to another one."""


class Line:
    """Stands in for the stub of KerasTuner's `OracleClient`, which would wait an hour for a chief that has ended.

    A thread lets the chief know that the worker lives while it holds a trial; `check` raises what the chief answered.

    Args:
        worker: Who calls.
    """

    def __init__(self, worker: Worker):
        self.worker, self.token = worker, ""
        self.trial_id: str | None = None
        self.address = Address.parse(worker.address)
        self._channel = grpc.insecure_channel(str(self.address))
        self._stub = protos.get_service_grpc().OracleStub(self._channel)
        self._turn, self._closed = threading.Lock(), threading.Event()
        self._problem: Exception | None = None

    def connect(self) -> None:
        """Waits until the chief can be reached.

        Raises:
            ConnectionError: If it cannot in `wait_s` seconds.
        """
        try:
            grpc.channel_ready_future(self._channel).result(timeout=self.worker.wait_s)
        except grpc.FutureTimeoutError:
            raise self._unreachable() from None

    def greet(self, wait_s: float) -> None:
        """Asks whether the chief is there and takes this worker.

        Args:
            wait_s: Seconds to wait for an answer.

        Raises:
            ConnectionError: If there is none.
            ValueError: If its run directory is another one.
        """
        with self._turn:
            self._call("GetSpace", protos.get_service().GetSpaceRequest(), wait_s)

    def start(self) -> None:
        """Begins to let the chief know that the worker lives."""
        threading.Thread(target=self._beat, name="kgrow-heartbeat", daemon=True).start()

    def close(self) -> None:
        """Hangs up."""
        self._closed.set()
        self._channel.close()

    def check(self) -> None:
        """Raises what has ended the work on the present trial, if anything has.

        Raises:
            LostTrialError: If another worker has it.
            OutOfTimeError: If the time allowed for the search is over.
            ConnectionError: If the chief has ended or cannot be reached.
        """
        if self._problem is not None:
            raise self._problem

    def fail(self, message: str) -> None:
        """Tells the chief that the worker ends with an error, which ends the search."""
        if self.trial_id is not None:
            proto = protos.get_proto()
            trial = proto.Trial(trial_id=self.trial_id, status=TrialStatus.to_proto(TrialStatus.INVALID))
            # KerasTuner's form of a trial has no place for a message.
            request = protos.get_service().EndTrialRequest(trial=trial)
            with self._turn:
                self._call("EndTrial", request, self.worker.wait_s, message)

    def __getattr__(self, name: str) -> Any:
        """Returns one of the service's calls, in the form in which `OracleClient` makes it."""
        if not name[0].isupper():
            raise AttributeError(name)
        return lambda request, **_: self._answered(name, request)

    def _answered(self, name: str, request: Any) -> Any:
        try:
            with self._turn:
                response = self._call(name, request, self.worker.wait_s)
        except Exception as error:
            # KerasTuner would count it as a failure of the trial.
            raise keras_tuner.errors.FatalError(str(error)) from error
        if name == "CreateTrial":
            status = TrialStatus.from_proto(response.trial.status)
            self.trial_id = response.trial.trial_id if status == TrialStatus.RUNNING else None
            self._problem = None
            if status == TrialStatus.IDLE:
                time.sleep(PAUSE_S)  # KerasTuner asks again at once
        elif name == "EndTrial":
            self.trial_id = None
        return response

    def _call(self, name: str, request: Any, wait_s: float, message: str = "") -> Any:
        end = time.monotonic() + wait_s
        metadata = [(NAME, self.worker.name), (TOKEN, self.token), (MESSAGE, message.encode()[-LONGEST_MESSAGE:])]
        while True:
            left = max(end - time.monotonic(), 0.1)
            try:
                return getattr(self._stub, name)(request, metadata=metadata, timeout=left, wait_for_ready=True)
            except grpc.RpcError as error:
                # A chief that is killed in the middle of a call may be there again at once.
                if error.code() not in _AWAY or time.monotonic() + PAUSE_S > end:
                    raise self._explained(error) from None
                time.sleep(PAUSE_S)

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_S):
            with self._turn:
                if self.trial_id is None or self._problem is not None:
                    continue
                try:
                    request = protos.get_service().GetTrialRequest(trial_id=self.trial_id)
                    self._call("GetTrial", request, self.worker.wait_s)
                except Exception as error:  # raised by `check`, where somebody sees it
                    self._problem = error

    def _explained(self, error: Any) -> Exception:
        kinds: dict[Any, type[Exception]] = {LOST: LostTrialError, OVER: OutOfTimeError, STRANGER: ValueError}
        if error.code() in kinds:
            return kinds[error.code()](error.details())
        if error.code() in _AWAY:
            return self._unreachable()
        return ConnectionError(f"The chief at {self.address} has failed: {error.details()}")

    def _unreachable(self) -> Exception:
        return ConnectionError(
            f"The chief at {self.address} must be reachable, but was not for {self.worker.wait_s:g} seconds: it "
            "has ended, or was not started, or listens elsewhere. A trial that was begun is kept: start the chief "
            "(`kgrow search ... --chief`) and then this worker again."
        )
