"""`Service`: what the chief answers to each call of a worker."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable
from typing import Any

import grpc

from kgrow._keras import quiet_stderr
from kgrow.lifecycle import Observer
from kgrow.searching.leases import Leases
from kgrow.searching.ledger import Ledger
from kgrow.searching.line import LOST, MESSAGE, NAME, OVER, STRANGER, TOKEN
from kgrow.searching.shared import collect

with quiet_stderr():
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer
    from keras_tuner.src.engine.trial import Trial, TrialStatus


class _RefusedError(Exception):
    """A status code and the words that go with it."""


class Service(OracleServicer):
    """KerasTuner's service, with leases: a worker that is not heard of loses its trial to the next one that asks.

    KerasTuner's own chief would wait for a dead worker for ever. Calls come from gRPC's threads and wait for each
    other; what the observer is told, it is told by the thread that calls `tend`.

    Args:
        leases: Of the workers.
    """

    def __init__(self, leases: Leases):
        self.leases, self.is_over = leases, False
        self._token, self._lock = "", threading.Lock()
        self._failure: Exception | None = None
        self._told: queue.SimpleQueue[Callable[[Observer], None]] = queue.SimpleQueue()

    def open(self, ledger: Ledger, token: str) -> None:
        """Begins to serve; workers that had a trial before the chief was started again keep it for a lease.

        Args:
            ledger: Gives and takes trials.
            token: Known to those that see the run directory; others are refused.
        """
        super().__init__(ledger.oracle)
        self.ledger, self._token = ledger, token
        for worker in ledger.holders():
            self.leases.renew(worker)

    def close(self) -> bool:
        """Ends the search for every worker; returns whether trials are left that have not ended."""
        with self._lock:
            self.is_over = True
            self.ledger.leave()
            return bool(self.ledger.unfinished)

    def tend(self, observer: Observer) -> bool:
        """Takes trials from workers whose lease has ended, and says what has happened since the last call.

        Returns:
            Whether every trial has ended.

        Raises:
            Exception: What went wrong in a call, or in a worker's trial.
        """
        is_over = self._failure is None and self._take_expired()
        while not self._told.empty():
            self._told.get()(observer)
        if self._failure is not None:
            raise self._failure
        return is_over

    def _take_expired(self) -> bool:
        # Not after a failure: whoever failed may still hold the lock of KerasTuner's oracle.
        with self._lock:
            expired = self.leases.take_expired()
            for worker in expired:
                trial_id = self.ledger.lose(worker)
                if trial_id is not None:
                    self._say(f"{worker} was not heard of for {self.leases.seconds:g} s: trial {trial_id} waits")
            if expired and not self.leases and not self.ledger.is_over:
                self._say("no worker is left: the search goes on when one connects")
            return self.ledger.is_over

    def GetSpace(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's names
        """Answers with the hyper-parameters."""
        return self._answer(context, lambda caller: OracleServicer.GetSpace(self, request, context))

    def UpdateSpace(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Takes in hyper-parameters that the oracle did not know."""
        return self._answer(context, lambda caller: OracleServicer.UpdateSpace(self, request, context))

    def CreateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answers with the caller's trial, or with the word to wait or to go."""
        return self._answer(context, self._create)

    def GetTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answers with a trial that is the caller's; a worker's sign of life."""
        return self._answer(
            context,
            lambda caller: protos.get_service().GetTrialResponse(trial=self._held(caller, request.trial_id).to_proto()),
        )

    def UpdateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answers with a trial that is the caller's; what it has reached is read from its outcome."""
        return self._answer(
            context,
            lambda caller: protos.get_service().UpdateTrialResponse(
                trial=self._held(caller, request.trial_id).to_proto()
            ),
        )

    def EndTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Takes in the outcome of a trial that is the caller's."""
        message = dict(context.invocation_metadata()).get(MESSAGE, b"").decode(errors="replace")
        return self._answer(context, lambda caller: self._end(caller, request.trial, message))

    def GetBestTrials(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answers with the best trials."""
        return self._answer(context, lambda caller: OracleServicer.GetBestTrials(self, request, context))

    def _answer(self, context: Any, respond: Callable[[str], Any]) -> Any:
        given = dict(context.invocation_metadata())
        caller = given.get(NAME, "")
        with self._lock:
            try:
                if self._failure is not None:
                    raise _RefusedError(grpc.StatusCode.INTERNAL, str(self._failure))
                if given.get(TOKEN) != self._token:
                    raise _RefusedError(
                        STRANGER,
                        "`--out` must be the run directory of the chief, but the worker's is another one: the chief's "
                        f"is {self.ledger.run.path}, on a file system that both share.",
                    )
                self.leases.renew(caller)
                return respond(caller)
            except _RefusedError as refusal:
                code, words = refusal.args
            except Exception as error:  # raised again by `tend`, in the chief's own thread
                self._failure = error
                code, words = grpc.StatusCode.INTERNAL, str(error)
        return context.abort(code, words)

    def _create(self, caller: str) -> Any:
        if self.is_over:
            trial = Trial(self.oracle.get_space(), status=TrialStatus.STOPPED)
        else:
            had = caller in self.ledger.holders()
            trial = self.ledger.create(caller)
            if trial.status == TrialStatus.RUNNING:
                self._say(f"trial {trial.trial_id}: {'still with' if had else 'given to'} {caller}")
        return protos.get_service().CreateTrialResponse(trial=trial.to_proto())

    def _held(self, caller: str, trial_id: str) -> Any:
        if self.is_over:
            raise _RefusedError(OVER, "The time allowed for the search is over; the checkpoint of this trial is kept.")
        if not self.ledger.holds(caller, trial_id):
            raise _RefusedError(
                LOST,
                f"Trial {trial_id} was given to another worker or has ended: the chief had not heard of this one for "
                f"{self.leases.seconds:g} seconds.",
            )
        return self.oracle.trials[trial_id]

    def _end(self, caller: str, trial: Any, message: str) -> Any:
        self._held(caller, trial.trial_id)
        if TrialStatus.from_proto(trial.status) == TrialStatus.INVALID:
            self._failure = RuntimeError(f"Trial {trial.trial_id} raised an error in the worker {caller}:\n{message}")
        else:
            collect(self.ledger.run, caller, int(trial.trial_id))
            outcome = self.ledger.end(trial.trial_id)
            self._told.put(lambda observer: observer.trial_finished(outcome.trial, dataclasses.asdict(outcome)))
        return protos.get_service().EndTrialResponse()

    def _say(self, text: str) -> None:
        self._told.put(lambda observer: observer.note(text))
