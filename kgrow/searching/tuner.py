"""`Tuner`: KerasTuner runs the search; each of its trials is one of `Trials`."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from kgrow._keras import quiet_stderr
from kgrow.lifecycle import OutOfTimeError
from kgrow.run import Run
from kgrow.searching.objective import NAME
from kgrow.searching.proposals import Proposal, Proposals
from kgrow.searching.trial import Trial

with quiet_stderr():
    import keras_tuner

FOLDER = "keras_tuner"
# What successive halving adds to the values of a trial: epochs after the last structural event.
RUNG = "tuner/epochs"


class Trainable(Protocol):
    """What trains a candidate, here or with what other machines have left: `Trials`, or what stands before them."""

    def train(self, index: int, proposal: Proposal, deadline: float, epochs: int | None) -> Trial:
        """See `Trials.train`."""

    def directory(self, index: int) -> Run:
        """See `Trials.directory`."""


class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
    """Asks the oracle for hyper-parameters, trains what they stand for and reports the objective.

    KerasTuner's own files are written anew in each process: an oracle with a seed proposes the same again, and trials
    that have ended answer at once from their own files, which survive a kill at any moment.

    Args:
        oracle: See `kgrow.searching.oracles`.
        proposals: Turns hyper-parameters into candidates that fit.
        trials: Trains them, or estimates what training would give.
        run: The search's directory.
        final_epoch: Of the last structural event: the first rung of successive halving comes after it.
        deadline: `time.monotonic()` after which no epoch is started.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        proposals: Proposals,
        trials: Trainable,
        run: Run,
        final_epoch: int,
        deadline: float = float("inf"),
    ):
        self.proposals, self.trials, self.final_epoch, self.deadline = proposals, trials, final_epoch, deadline
        oracle.verbose = 0
        self._tell_values = functools.partial(tell_values, oracle)
        run.remove_folder(FOLDER)  # KerasTuner would follow links in it
        super().__init__(oracle, _declare(proposals), run.path, FOLDER, overwrite=True)
        if not oracle.get_space().space:
            oracle.max_trials = 1  # everything is given

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Trains a candidate; see `keras_tuner.BaseTuner.run_trial`."""
        try:
            outcome = self._outcome(trial)
        except Exception as error:
            # KerasTuner would count it as a failed trial and go on.
            raise keras_tuner.errors.FatalError(str(error)) from error
        if outcome.objective is None:
            raise keras_tuner.errors.FailedTrialError(outcome.traceback or outcome.error)
        return metrics(outcome)

    def _outcome(self, trial: Any) -> Trial:
        proposal = self.proposals.sample(trial.hyperparameters)
        values = trial.hyperparameters.values
        self._tell_values(values, proposal.values)
        rung = values.get(RUNG)
        outcome = self.trials.train(
            int(trial.trial_id), proposal, self.deadline, self.final_epoch + rung if rung else None
        )
        if outcome.status == "stopped":
            raise OutOfTimeError("The time allowed ended in this trial; its checkpoint is kept.")
        return outcome

    def load_model(self, trial: Any) -> Any:
        """Returns a trial's network, if it is one of the best, which alone are kept."""
        from kgrow.lifecycle import BEST, Snapshot

        return Snapshot.load(self.trials.directory(int(trial.trial_id)), BEST).network()


def tell_values(oracle: keras_tuner.Oracle, values: dict[str, Any], trained: Mapping[str, Any]) -> None:
    """Puts what was trained in the place of what the oracle proposed, so that it learns from the truth.

    Args:
        oracle: The search's own; a grid finds its next point from the one that it proposed, which is left to it.
        values: Of KerasTuner's trial; changed in place.
        trained: The values of the proposal that was made of them.
    """
    if not isinstance(oracle, keras_tuner.oracles.GridSearchOracle):
        values |= {name: value for name, value in trained.items() if name in values}


def metrics(outcome: Trial) -> dict[str, float]:
    """Returns what the oracle is told of a trial that has an objective."""
    return {
        NAME: outcome.objective or 0.0,
        "val_accuracy": outcome.val_accuracy or 0.0,
        "kept_params": outcome.kept_params,
    }


def run_tuner(tuner: Tuner) -> None:
    """Runs a search to its end, or to the end of the time allowed.

    Raises:
        Exception: Whatever went wrong in a trial, as it was raised there.
    """
    try:
        with quiet_keras_tuner():
            tuner.search()
    except keras_tuner.errors.FatalError as fatal:
        if isinstance(fatal.__cause__, OutOfTimeError):
            return
        raise fatal.__cause__ or fatal from None


@contextlib.contextmanager
def quiet_keras_tuner() -> Iterator[None]:
    """Keeps back the warnings of an oracle at work."""
    with warnings.catch_warnings():
        # Of names that Python deprecates, and of a Gaussian process that saw few points: nothing a user can mend.
        warnings.filterwarnings("ignore", module=r"keras_tuner\.|sklearn\.")
        yield


def _declare(proposals: Proposals) -> Callable[[Any], None]:
    """Returns KerasTuner's hypermodel, which it calls to learn of the hyper-parameters."""

    def build(hp: Any) -> None:
        proposals.declare(hp)

    return build
