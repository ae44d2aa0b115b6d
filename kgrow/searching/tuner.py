"""`Tuner`: lets KerasTuner decide which candidates are tried; each of its trials is one of `Trials`."""

from __future__ import annotations

import collections
import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from kgrow._keras import quiet_stderr
from kgrow.run import Run
from kgrow.searching.objective import NAME
from kgrow.searching.proposals import Proposal, Proposals
from kgrow.searching.trial import Trial

with quiet_stderr():
    import keras_tuner
    from keras_tuner.engine.trial import TrialStatus

FOLDER = "keras_tuner"
# File in the run directory: the number of parallel trials from each trial on. An oracle's proposals depend on it.
AT_ONCE = "trials_at_once.json"


class Trainable(Protocol):
    """The trainer of candidates: in this process, as estimates, or on a cluster."""

    @property
    def at_once(self) -> int:
        """The number of candidates that it trains in parallel."""

    def fits(self, index: int, proposal: Proposal, deadline: float) -> bool:
        """See `Trials.fits`."""

    def begin(self, index: int, proposal: Proposal, deadline: float) -> None:
        """Starts a candidate that `train` will request later, if several are trained in parallel."""

    def train(self, index: int, proposal: Proposal, deadline: float) -> Trial:
        """See `Trials.train`."""

    def num_begun(self) -> int:
        """See `Trials.num_begun`."""


class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
    """Asks the oracle for hyper-parameters, trains their candidate and reports the objective.

    KerasTuner's own files are rewritten in each process: an oracle with a seed proposes the same values again, and
    finished trials are read from their own files, which survive a kill at any moment. The oracle gets the results in
    the order of the trials' numbers, regardless of how many are trained at once and which ends first. The order
    therefore does not depend on their speed.

    Args:
        oracle: Oracle; see `kgrow.searching.oracles`.
        proposals: Proposals that turn hyper-parameters into candidates within the limits.
        trials: Trials that train the candidates, or estimates of their results.
        run: Run directory of the search.
        deadline: `time.monotonic()` value after which no epoch is started.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        proposals: Proposals,
        trials: Trainable,
        run: Run,
        deadline: float = float("inf"),
    ):
        self.proposals, self.trials, self.deadline = proposals, trials, deadline
        self._room = remembered_room(run, trials.num_begun(), trials.at_once)
        oracle.verbose = 0
        run.remove_folder(FOLDER)  # KerasTuner would follow links in it
        super().__init__(oracle, proposals.declare, run.path, FOLDER, overwrite=True)
        if not oracle.get_space().space:
            oracle.max_trials = 1  # all values are fixed

    def search(self) -> None:
        """Tries candidates until the oracle has no more, or none more can be trained to its end in the allowed time.

        Raises:
            Exception: Any exception of a trial, as raised there.
        """
        waiting: collections.deque[tuple[Any, Proposal]] = collections.deque()
        is_over = False
        with quiet_keras_tuner():
            while True:
                while not is_over and len(waiting) < self._room(len(self.oracle.trials)):
                    trial = self.oracle.create_trial(f"tuner{len(self.oracle.trials)}")
                    is_over = trial.status == TrialStatus.STOPPED
                    if trial.status != TrialStatus.RUNNING:
                        break
                    proposal = self._proposal(trial)
                    if not self.trials.fits(int(trial.trial_id), proposal, self.deadline):
                        is_over = True
                        break
                    self.trials.begin(int(trial.trial_id), proposal, self.deadline)
                    waiting.append((trial, proposal))
                if not waiting:
                    return
                trial, proposal = waiting.popleft()
                outcome = self.trials.train(int(trial.trial_id), proposal, self.deadline)
                is_over |= outcome.status == "stopped"
                if outcome.status != "stopped":
                    self._end(trial, outcome)

    def _proposal(self, trial: Any) -> Proposal:
        proposal, values = self.proposals.sample(trial.hyperparameters), trial.hyperparameters.values
        # The oracle learns from the trained values; a grid finds its next point from the proposed one.
        if not isinstance(self.oracle, keras_tuner.oracles.GridSearchOracle):
            values |= {name: value for name, value in proposal.values.items() if name in values}
        return proposal

    def _end(self, trial: Any, outcome: Trial) -> None:
        trial.status, trial.message = TrialStatus.FAILED, outcome.traceback or outcome.error
        if outcome.objective is not None:
            told = {NAME: outcome.objective, "val_accuracy": outcome.val_accuracy, "kept_params": outcome.kept_params}
            self.oracle.update_trial(trial.trial_id, told)
            trial.status = TrialStatus.COMPLETED
        self.on_trial_end(trial)


def remembered_room(run: Run, begun: int, at_once: int) -> Callable[[int], int]:
    """Returns, by trial number, how many trials may run at once after its start.

    A resumed run asks its oracle in the same order as before; trials that it had not started use the current number.

    Args:
        run: Run that stores the numbers.
        begun: Number of trials that the run has started.
        at_once: Number of parallel trials from now on.
    """
    rooms = run.read_json(AT_ONCE, [[int]]) if run.has(AT_ONCE) else [[0, 1]]
    rooms = [[first, room] for first, room in rooms if first < begun]
    if not rooms or rooms[-1][1] != at_once:
        rooms.append([begun, at_once])
    if run.has(AT_ONCE) or at_once > 1:
        run.write_json(AT_ONCE, rooms)
    return lambda number: next(room for first, room in reversed(rooms) if first <= number)


@contextlib.contextmanager
def quiet_keras_tuner() -> Iterator[None]:
    """Suppresses the warnings of a running oracle."""
    with warnings.catch_warnings():
        # About names that Python deprecates, and a Gaussian process with few points: a user cannot fix either.
        warnings.filterwarnings("ignore", module=r"keras_tuner\.|sklearn\.")
        yield
