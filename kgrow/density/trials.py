"""The trials of a density search: each is trained once, and checkpoint, outcome and the best network are stored."""

from __future__ import annotations

import dataclasses
import itertools
import traceback
from typing import Any

import numpy as np

from kgrow._keras import quiet_stderr
from kgrow.density.layout import Layout
from kgrow.density.network import density_network
from kgrow.density.space import DensitySpace
from kgrow.density.training import DensityTraining, Training
from kgrow.graph import Scaling
from kgrow.network import GrowingNetwork
from kgrow.reporting.wording import grouped, percent
from kgrow.run import Run
from kgrow.searching.objective import NAME
from kgrow.searching.tuner import FOLDER, quiet_keras_tuner
from kgrow.task import Task
from kgrow.training import Observer, TrainingDivergedError
from kgrow.training.loop import CHECKPOINT

with quiet_stderr():
    import keras_tuner

BEST = "best.npz"


@dataclasses.dataclass(frozen=True)
class DensityTrial:
    """One evaluation, as stored in `density.json`.

    Args:
        trial: Number of its sub-directory.
        sizes: Layer sizes; see `Layout`.
        densities: Layer densities; see `Layout`.
        active_params: Number of existing connections.
        epochs: Number of training epochs.
        val_accuracy: Validation accuracy after the last epoch; None if the trial failed.
        error: Message of the failure.
        traceback: Traceback of the failure.
    """

    trial: str
    sizes: tuple[int, ...]
    densities: tuple[float, ...]
    active_params: int
    epochs: int
    val_accuracy: float | None
    error: str | None = None
    traceback: str | None = None

    @property
    def layout(self) -> Layout:
        """The layout that was trained."""
        return Layout(tuple(self.sizes), tuple(self.densities))


class DensityTrials:
    """Trains layouts one after the other; a finished trial is read from its file.

    Args:
        task: Data of the search.
        training: Training settings of all trials.
        run: Run directory of the search.
        observer: Observer that is notified of events.
        seed: Random seed of weights, masks and the order of the images, the same for all trials.
    """

    def __init__(self, task: Task, training: Training, run: Run, observer: Observer, seed: int):
        self.task, self.training, self.run, self.observer, self.seed = task, training, run, observer, seed
        self.outcomes: dict[int, DensityTrial] = {}

    def network(self, layout: Layout) -> GrowingNetwork:
        """Returns a fresh network."""
        scaling = Scaling(self.task.pixel_mean, self.task.pixel_std)
        return density_network(layout, self.task.input_shape, scaling, seed=self.seed, mask_seed=self.seed)

    def train(self, index: int, layout: Layout) -> DensityTrial:
        """Returns the outcome of a trial, trained now or before an interruption of the search.

        Raises:
            ValueError: If the run contains another layout under this number.
        """
        name = _outcome(index)
        epochs = self.training.epochs
        trial = DensityTrial(f"{index:04d}", layout.sizes, layout.densities, layout.active_params, epochs, None)
        if self.run.has(name):
            known = self.run.read_json(name, DensityTrial)
            _check_same(known, trial)
            trial = known
        else:
            trial = self._train(trial)
            self.run.write_json(name, dataclasses.asdict(trial))
            self.observer.note(worded(trial))
        self.run.remove(f"trials/{index:04d}/{CHECKPOINT}")
        self.outcomes[index] = trial
        return trial

    def num_finished(self) -> int:
        """Returns the number of trials with an outcome in the run directory."""
        return next(index for index in itertools.count() if not self.run.has(_outcome(index)))

    def best(self) -> DensityTrial:
        """Returns the trial of the highest accuracy; among equals, the one with the fewest connections.

        Raises:
            ArithmeticError: If every trial failed.
        """
        complete = [trial for trial in self.outcomes.values() if trial.val_accuracy is not None]
        if not complete:
            raise ArithmeticError("Every trial failed. " + " ".join(str(t.error) for t in self.outcomes.values()))
        return max(complete, key=_rank)

    def best_network(self) -> GrowingNetwork:
        """Returns the network of the best trial, with its weights."""
        network = self.network(self.best().layout)
        network.load_state(self.run.load_arrays(BEST)[0])
        return network

    def _train(self, trial: DensityTrial) -> DensityTrial:
        network, folder = self.network(trial.layout), self.run.child(f"trials/{trial.trial}")
        identity = {"sizes": list(trial.sizes), "densities": list(trial.densities), "epochs": trial.epochs}
        try:
            loop = DensityTraining(network, self.task.train, self.training, self.seed, folder, identity)
            loop.go_on(loop.restore())
        except TrainingDivergedError as problem:
            return dataclasses.replace(trial, error=str(problem), traceback=traceback.format_exc())
        logits = network.logits(self.task.validation.images)[0]
        accuracy = float(np.mean(logits.argmax(axis=-1) == self.task.validation.labels))
        trial = dataclasses.replace(trial, val_accuracy=accuracy)
        earlier = [known for known in self.outcomes.values() if known.val_accuracy is not None]
        if not earlier or _rank(trial) > max(map(_rank, earlier)):
            self.run.save_arrays(BEST, network.state(), {"trial": trial.trial})
        return trial


def _outcome(index: int) -> str:
    return f"trials/{index:04d}/outcome.json"


class DensityTuner(keras_tuner.engine.base_tuner.BaseTuner):
    """Asks the oracle for hyper-parameters, trains their layout and reports the accuracy.

    KerasTuner's files are rewritten in each process: an oracle with a seed proposes the same values again.

    Args:
        oracle: Oracle; see `kgrow.searching.oracles`.
        space: Space that turns hyper-parameters into layouts within the limit.
        trials: Trials that train the layouts.
    """

    def __init__(self, oracle: keras_tuner.Oracle, space: DensitySpace, trials: DensityTrials):
        self.space, self.trials = space, trials
        oracle.verbose = 0
        trials.run.remove_folder(FOLDER)  # KerasTuner would follow links in it
        super().__init__(oracle, space.sample, trials.run.path, FOLDER, overwrite=True)

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Trains a layout; see `keras_tuner.BaseTuner.run_trial`."""
        try:
            layout = self.space.sample(trial.hyperparameters)
            outcome = self.trials.train(int(trial.trial_id), layout)
        except Exception as error:
            # KerasTuner would count it as a failed trial and continue.
            raise keras_tuner.errors.FatalError(str(error)) from error
        if outcome.val_accuracy is None:
            raise keras_tuner.errors.FailedTrialError(outcome.traceback)
        return {NAME: outcome.val_accuracy, "active_params": outcome.active_params}


def run_tuner(tuner: DensityTuner) -> None:
    """Runs a search to its end.

    Raises:
        Exception: Any exception of a trial, as raised there.
    """
    try:
        with quiet_keras_tuner():
            tuner.search()
    except keras_tuner.errors.FatalError as fatal:
        raise fatal.__cause__ or fatal from None


def worded(trial: DensityTrial) -> str:
    """Returns a one-line description of a trial."""
    sizes, densities = "-".join(map(str, trial.sizes)), " ".join(f"{density:.3f}" for density in trial.densities)
    found = f"trial {trial.trial}: {sizes}, densities {densities}, {grouped(trial.active_params)} connections, "
    return found + (f"failed: {trial.error}" if trial.error else f"validation {percent(trial.val_accuracy, 2)} %")


def _check_same(known: DensityTrial, proposed: DensityTrial) -> None:
    if (known.layout, known.epochs) != (proposed.layout, proposed.epochs):
        raise ValueError(
            f"`oracle` must propose what it proposed before the search was interrupted, but trial {known.trial} was "
            f"{known.layout} over {known.epochs} epochs and is now {proposed.layout} over {proposed.epochs}. Give the "
            "oracle a seed."
        )


def _rank(trial: DensityTrial) -> tuple[float, int]:
    return trial.val_accuracy or 0.0, -trial.active_params
