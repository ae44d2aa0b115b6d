"""`search_density`: searches depth, width and density, from any data set to a file."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from typing import Any

import numpy as np

from kgrow._keras import keras, pinned, tf
from kgrow._version import __version__
from kgrow.density.space import DensitySpace
from kgrow.density.training import Training
from kgrow.density.trials import DensityTrials, DensityTuner, run_tuner
from kgrow.exporting import Artefact, ExportOptions
from kgrow.exporting.export import export
from kgrow.graph.keras_models import to_keras
from kgrow.graph.values import Weighted
from kgrow.network import GrowingNetwork
from kgrow.reporting.progress import display_for
from kgrow.run import Run
from kgrow.searching.oracles import make_oracle
from kgrow.task import Task
from kgrow.training import Observer

RESULT = "density.json"


@dataclasses.dataclass(frozen=True)
class DensityResult:
    """The result of `search_density`.

    Args:
        network: The best network.
        task: Data of the search.
        document: Content of `density.json`: `kgrow_version`, `config`, `candidates` (see
            `kgrow.density.trials.DensityTrial`) and `best`, which also has `test_accuracy` and `test_loss` (nats per
            image).
    """

    network: GrowingNetwork
    task: Task
    document: dict[str, Any]

    @functools.cached_property
    def model(self) -> keras.Model:
        """A Keras model of plain layers, raw pixels to logits; connections that do not exist are exactly zero."""
        weighted = Weighted.of(self.network.architecture, self.network.state())
        return to_keras(weighted, softmax=False, name="density_network")

    def export(self, path: str | os.PathLike[str], quantize: str = "float32", **options: Any) -> Artefact:
        """Verifies the model and writes it for a device; see `kgrow.compressing.compressed.Compressed.export`.

        The file stores the zeros of missing connections: it is as large as that of the full network.
        """
        return export(self.network, self.task, path, ExportOptions(quantization=quantize, **options))


@pinned()
def search_density(  # noqa: PLR0913 - one call; all but the data are keywords with a default
    dataset: Any,
    *,
    max_depth: int = 3,
    max_width: int = 256,
    max_params: int | None = None,
    trials: int = 20,
    oracle: Any = "bayesian",
    training: Training | None = None,
    validation_data: Any = None,
    test_data: Any = None,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    seed: int = 0,
    directory: str | os.PathLike[str] = "kgrow_runs/density",
    overwrite: bool = False,
    verbose: int = 1,
) -> DensityResult:
    """Searches depth, width and the density of each layer of a fully connected network.

    Existing connections are drawn once and never learned. The same call on the same directory resumes an interrupted
    search without repeating finished trials.

    Args:
        dataset: Data that `Task.of` accepts.
        max_depth: Largest number of hidden layers.
        max_width: Largest number of units of a hidden layer.
        max_params: Largest number of existing connections; None for no limit.
        trials: Largest number of networks to try; a later call may raise it.
        oracle: Oracle that proposes the next trial: a name in `kgrow.registry.ORACLES` or a `keras_tuner.Oracle`;
            `"bayesian"` draws three at random first.
        training: Training settings of each network.
        validation_data: Data that decide between the trials; by default a part of the training images.
        test_data: Data used once, for the final figures.
        data_dir: Directory of TensorFlow Datasets' data.
        image_size: Size to which images are resized.
        seed: Random seed.
        directory: Directory where the search is written.
        overwrite: Whether a search there is started over; by default an equal one is resumed.
        verbose: Verbosity: 0 silent, 1 or 2 a line per trial.

    Returns:
        The best network with its figures.

    Raises:
        ValueError: If an argument or the data are unusable; the message says how to fix it.
        ArithmeticError: If the training of every network diverged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = search_density("digits", max_width=32, max_params=800, trials=1, directory=folder, verbose=0)
        >>> result.document["best"]["active_params"] <= 800
        True
    """
    task = Task.of(
        dataset,
        validation_data=validation_data,
        test_data=test_data,
        data_dir=data_dir,
        image_size=image_size,
        seed=seed,
    )
    training = training or Training()
    space = DensitySpace(math.prod(task.input_shape), task.num_classes, max_depth, max_width, max_params)
    chosen = make_oracle(oracle, trials, seed)
    config = {
        "task": {"name": task.name, "fingerprint": task.fingerprint},
        "space": {"max_depth": max_depth, "max_width": max_width, "max_params": max_params},
        "oracle": type(chosen).__name__,
        "training": dataclasses.asdict(training),
        "seed": seed,
    }
    with Run.open(directory, config, overwrite=overwrite) as run, display_for(verbose) as observer:
        known = DensityTrials(task, training, run, observer, seed)
        if isinstance(oracle, str):  # all finished trials are ranked, whatever number is requested now
            chosen.max_trials = max(trials, known.num_finished())
        return _searched(DensityTuner(chosen, space, known), observer)


def _searched(tuner: DensityTuner, observer: Observer) -> DensityResult:
    trials = tuner.trials
    for note in (*trials.task.overview, *trials.task.notes):
        observer.note(note)
    run_tuner(tuner)
    network = trials.best_network()
    document = {
        "kgrow_version": __version__,
        "config": {**trials.run.config, "trials": tuner.oracle.max_trials},
        "candidates": [dataclasses.asdict(trial) for trial in trials.outcomes.values()],
        "best": dataclasses.asdict(trials.best()) | _test_figures(network, trials.task),
    }
    trials.run.write_json(RESULT, document)
    return DensityResult(network, trials.task, trials.run.read_json(RESULT))


def _test_figures(network: GrowingNetwork, task: Task) -> dict[str, float]:
    logits, labels = network.logits(task.test.images)[0], task.test.labels
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return {
        "test_accuracy": float(np.mean(logits.argmax(axis=-1) == labels)),
        "test_loss": float(np.mean(losses)),
    }
