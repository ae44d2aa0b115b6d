"""`compress`: makes a user's own trained model narrower."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from kgrow._checks import check_bool, check_keep_ratio, check_path, check_positive, check_rounds
from kgrow._keras import pinned
from kgrow._rules import checked, instance_of, optional
from kgrow.compressing.compressed import Compressed
from kgrow.compressing.figures import document, figures, identity
from kgrow.compressing.fine_tuning import Recovery
from kgrow.compressing.plan import CompressionPlan, default_epochs
from kgrow.compressing.pruning import check_scores, layer_groups
from kgrow.compressing.reading import network_of, read
from kgrow.compressing.training_form import for_training, with_momentum_of
from kgrow.config.option import named
from kgrow.exporting.compact import compact
from kgrow.graph.keras_models import KerasModel
from kgrow.models.files import check_model_path
from kgrow.models.opened import opened
from kgrow.pruning import CHANNEL_CRITERIA, CRITERIA, ChannelCriterion, Criterion
from kgrow.reporting.progress import check_verbose, display_for
from kgrow.reporting.wording import percent
from kgrow.run import Run
from kgrow.task import Augmentation, Task
from kgrow.task.arguments import RULES as DATA
from kgrow.training import Observer

NUM_ERRORS = 2  # standard errors above chance that an accuracy must reach


def _check_model(value: Any, name: str) -> Any:
    if isinstance(value, (str, os.PathLike)):
        return check_model_path(value)
    opened(value)  # what cannot be read is told before the data are
    return value


RULES = {
    **DATA,
    "model": _check_model,
    "channel_keep_ratio": check_keep_ratio,
    "keep_ratio": check_keep_ratio,
    "channel_criterion": named(CHANNEL_CRITERIA),
    "criterion": named(CRITERIA),
    "channel_multiple": check_rounds,
    "steps": check_rounds,
    "epochs": optional(check_rounds),
    "batch_size": check_rounds,
    "learning_rate": check_positive,
    "augmentation": optional(instance_of(Augmentation)),
    "directory": optional(check_path),
    "overwrite": check_bool,
    "verbose": check_verbose,
}


@pinned()
@checked(RULES)
def compress(  # noqa: PLR0913 - one call of the README; all but model and data are keywords with a default
    model: Any,
    dataset: Any,
    *,
    channel_keep_ratio: float = 0.5,
    keep_ratio: float = 1.0,
    channel_criterion: str | ChannelCriterion = "taylor",
    criterion: str | Criterion = "magnitude",
    channel_multiple: int = 1,
    steps: int = 3,
    epochs: int | None = None,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    validation_data: Any = None,
    test_data: Any = None,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    directory: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    verbose: int = 1,
) -> Compressed:
    """Prunes channels and connections of a trained classifier and returns a narrower one.

    The model reads the data unscaled: raw pixels of a data set that kgrow reads, or arrays on the scale that the model
    was trained with. All layers are fine-tuned, including frozen ones.

    Args:
        model: Trained Sequential or Functional model of tf_keras or Keras 3; or the path of a `.keras` or `.h5` file,
            or of the directory of a SavedModel with Keras' metadata. Files are read as data: none of their code is run.
        dataset: Data that `Task.of` accepts; images that the model has not seen should be in `test_data`.
        channel_keep_ratio: Kept fraction of the channels of every layer, in (0, 1]; layers that are tied by an addition
            or a depthwise convolution count as one.
        keep_ratio: Kept fraction of the model's connections, in (0, 1], those of removed channels included. If it is
            smaller than the fraction the channels leave, single connections inside are pruned too.
        channel_criterion: Criterion of the kept channels: a name in `kgrow.registry.CHANNEL_CRITERIA` or a
            `ChannelCriterion`.
        criterion: Criterion of the kept connections: a name in `kgrow.registry.CRITERIA` or a `Criterion`.
        channel_multiple: Divisor of the widths of layers; 8 and 16 suit 8 bit kernels.
        steps: Pruning steps, in equal parts, with fine-tuning after each.
        epochs: Total epochs of fine-tuning, with the pruning steps in their first half; by default enough for 1000
            batches, 12 to 60.
        batch_size: Images per step of fine-tuning.
        learning_rate: Initial learning rate of Adam; it falls to zero.
        validation_data: Data that decide which epoch is kept; by default a part of the training images.
        test_data: Data for the final figures and for the verification of exported files.
        data_dir: Directory of TensorFlow Datasets' data.
        image_size: Size to which images are resized.
        augmentation: Augmentation of training images; none by default, because it is not known which one suits the
            model.
        seed: Random seed.
        directory: Directory where every epoch is written; the same call resumes there after an interruption. None
            writes nothing.
        overwrite: Whether existing training there is started over.
        verbose: Verbosity: 0 silent, 1 or 2 a line per step and epoch.

    Returns:
        The new model with every figure before and after.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If the model is not one of Keras.
        ValueError: If the model cannot be compressed, does not fit the data, or is no better than chance; the message
            says what to do.

    Example:
        >>> from kgrow._keras import keras
        >>> keras.utils.set_random_seed(0)
        >>> images = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1)).astype(np.uint8)
        >>> labels = (images[:, :, :4].mean(axis=(1, 2, 3)) > images[:, :, 4:].mean(axis=(1, 2, 3))).astype(int)
        >>> layers = keras.layers
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 1)), layers.Rescaling(1 / 128, -1), layers.Flatten(),
        ...     layers.Dense(8, activation="relu"), layers.Dense(2),
        ... ])
        >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> _ = model.fit(images, labels, epochs=60, verbose=0)
        >>> compressed = compress(model, (images, labels), steps=1, epochs=1, verbose=0)
        >>> [layer.units for layer in compressed.model.layers if hasattr(layer, "units")]
        [4, 2]
    """
    task = Task.of(
        dataset,
        validation_data=validation_data,
        test_data=test_data,
        data_dir=data_dir,
        image_size=image_size,
        seed=seed,
    )
    plan = CompressionPlan(
        channel_keep_ratio=channel_keep_ratio,
        keep_ratio=keep_ratio,
        channel_criterion=(
            CHANNEL_CRITERIA[channel_criterion](seed) if isinstance(channel_criterion, str) else channel_criterion
        ),
        criterion=CRITERIA[criterion](seed) if isinstance(criterion, str) else criterion,
        channel_multiple=channel_multiple,
        steps=steps,
        epochs=default_epochs(len(task.train), batch_size) if epochs is None else epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        augmentation=augmentation or Augmentation(),
        seed=seed,
    )
    with display_for(verbose) as observer:
        for note in task.notes:
            observer.note(note)
        given = read(model, task, observer.note)
        name = Path(model).stem if isinstance(model, (str, os.PathLike)) else model.name
        if directory is None:
            return _compress(name, given, task, plan, observer, None)
        with Run.open(directory, identity(given, task, plan), overwrite=overwrite) as run:
            return _compress(name, given, task, plan, observer, run)


def _compress(
    name: str, given: KerasModel, task: Task, plan: CompressionPlan, observer: Observer, folder: Run | None
) -> Compressed:
    before = figures(network_of(given), task)
    _check_beats_chance(before["val_accuracy"], task.validation.labels)
    groups = layer_groups(given.weighted.architecture)
    check_scores(plan.channel_criterion, given.weighted.architecture, groups)
    network = network_of(for_training(given), seed=plan.seed)
    recovery = Recovery(network, groups, given, task, plan, observer, folder)
    recovery.go_on(recovery.restore())
    network.load_state(recovery.best)
    network = network_of(with_momentum_of(network, given))
    smaller = compact(network)
    after = figures(smaller, task)
    described = document(name, task, plan, (given.weighted.architecture, before), (smaller.architecture, after))
    return Compressed(smaller, given.ends_in_softmax, name, task, described)


def _check_beats_chance(accuracy: float, labels: np.ndarray) -> None:
    most_frequent = float(np.max(np.bincount(labels)) / len(labels))
    needed = most_frequent + NUM_ERRORS * math.sqrt(most_frequent * (1.0 - most_frequent) / len(labels))
    if accuracy < needed:
        raise ValueError(
            f"`model` must answer clearly better than by chance, {percent(needed)} % of the validation images, but "
            f"answers {percent(accuracy)} %. Were its pixels scaled in training? `compress` feeds the data as they "
            "are: begin the model with a Rescaling layer, or pass images scaled as in training. Else train it first."
        )
