"""`cross_validate`: what a network answers of images that it was not trained with, and what more images would give."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_bool, check_path, check_positive_int
from kgrow._keras import pinned
from kgrow._rules import checked, optional
from kgrow._units import check_seconds
from kgrow.config import Config
from kgrow.graph import Architecture
from kgrow.graph.image_size import at_image_size
from kgrow.lifecycle import BEST, Lifecycle, Settings, Snapshot, TrainerPool
from kgrow.planning import planned
from kgrow.reporting.progress import check_verbose, display_for
from kgrow.result import Result, load
from kgrow.run import SETTINGS, Run
from kgrow.searching.precision import with_precision
from kgrow.searching.pretrained import Pretrained
from kgrow.searching.space import started_by
from kgrow.searching.time_limit import with_schedule
from kgrow.task import Split, Task
from kgrow.task.arguments import RULES as DATA
from kgrow.task.partition import carve, carve_whole
from kgrow.task.split import digests_of
from kgrow.training import Observer
from kgrow.uncertainty import SIGNIFICANCE, interval, p_value

FOLDER, ANSWERS = "cross_validation", "answers.npz"
VALIDATION_SHARE = 0.15
# Folds that are trained once more with half of their images.
HALVED_FOLDS = 2


@pinned()
@checked(
    {
        **DATA,
        "directory": check_path,
        "dataset": optional(DATA["dataset"]),
        "folds": check_positive_int,
        "max_time": optional(check_seconds),
        "overwrite": check_bool,
        "verbose": check_verbose,
    }
)
def cross_validate(  # noqa: PLR0913 - all but the run are keywords with a default, three of them those of `load`
    directory: str | os.PathLike[str],
    dataset: Any = None,
    *,
    folds: int = 5,
    max_time: float | str | None = None,
    validation_data: Any = None,
    test_data: Any = None,
    data_dir: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    verbose: int = 1,
) -> dict[str, Any]:
    """Trains the best network of a finished search anew, several times, each time without other images.

    All images of the run are divided into folds, stratified; equal images are in one fold. For each fold a network is
    trained on the images of the others, with the schedule of the search, and answers those of the fold before it is
    quantized. Two networks are trained once more with half of their images: what the other half gave tells what twice
    as many images might give. The same call goes on after an interruption.

    The structure of the network was chosen by the validation images of the search, which are among those that are
    answered here. With few candidates that matters little.

    Args:
        directory: Run directory of the search.
        dataset: Data of the run, if they were held in memory or must be downloaded; see `kgrow.load`.
        validation_data: See `kgrow.load`.
        test_data: See `kgrow.load`.
        folds: Number of folds, at least 2.
        max_time: Largest total time in seconds, or a text such as `"3m"`. No network is begun that would end after it;
            the first one is always trained.
        data_dir: Directory of TensorFlow Datasets' data, if it has changed.
        overwrite: Whether a cross-validation of the run is started over.
        verbose: Verbosity: 0 silent, 1 live display on a terminal and lines elsewhere, 2 lines.

    Returns:
        `folds` and `num_folds` (those that were trained), `num_images`, `accuracy` and its 95 % `interval` (Wilson)
        over all images that were answered, `per_fold`, `num_train` (training images per fold), `half` (None, or
        `accuracy` and `full`, with half and with all of the training images on the same folds, and `p_value`, image by
        image; also if half of the images are fewer than a batch), `gain_of_twice` (points that twice the images would
        probably give, None if that cannot be told), and `seconds`, of this call.

    Raises:
        FileNotFoundError: If there is no finished search.
        ValueError: If a class has fewer images than there are folds, the data are not those of the run, there are too
            few of them, or the search started with a model of one's own, which may have seen them all.
    """
    started = time.monotonic()
    deadline = float("inf") if max_time is None else started + float(max_time)
    given = {"validation_data": validation_data, "test_data": test_data, "data_dir": data_dir}
    result = load(directory, dataset, **given)
    with display_for(verbose) as observer:
        work = _Work(result, observer)
        parts = _parts(result.task, folds, work.settings.seed)
        work.check(parts)
        with _opened(result, folds, overwrite) as run:
            right, halves = {}, {}
            seconds: list[float] = []

            def is_late() -> bool:
                return bool(seconds) and time.monotonic() + max(seconds) > deadline

            for number in range(folds):
                if is_late():
                    break
                right[number] = work.answered(run, f"fold_{number}", parts, number, 1.0, seconds)
            for number in range(min(HALVED_FOLDS, folds)):
                if len(right) < folds or is_late() or not work.fits(parts, number, 0.5):
                    break
                halves[number] = work.answered(run, f"half_{number}", parts, number, 0.5, seconds)
    return _document(folds, parts, right, halves) | {"seconds": round(time.monotonic() - started, 3)}


class _Work:
    """What every fold has in common."""

    def __init__(self, result: Result, observer: Observer):
        self.task, self.observer, self.pool = result.task, observer, TrainerPool()
        path, task, document = result.directory, result.task, result.document
        _, plan, _ = planned(task, Config.of(path / SETTINGS), lambda _: None)
        space = plan.proposals.space
        if isinstance(space, Pretrained) and space.is_own:
            raise ValueError(
                f"`directory` must be a search that does not start with a model of your own, but {path} starts with "
                f"{space.start}: it may have been trained with the images of every fold. Give images that it has not "
                "seen as test images."
            )
        (trial,) = (each for each in document["candidates"] if each["trial"] == document["best"]["trial"])
        self.keep_ratios: Sequence[float] = trial["keep_ratios"]
        self.settings: Settings = with_precision(with_schedule(plan.settings, path), path)
        self.architecture: Architecture = plan.proposals.network(trial["values"])
        self.space = space
        splits = (task.train, task.validation, task.test)
        self.images = np.concatenate([split.images for split in splits])
        self.labels = np.concatenate([split.labels for split in splits])

    def check(self, parts: Sequence[np.ndarray]) -> None:
        """Raises ValueError if a fold leaves fewer images to train on than a batch has."""
        few = [number for number in range(len(parts)) if not self.fits(parts, number)]
        size = self.settings.preset.batch_size
        if few:
            raise ValueError(
                f"`folds` must leave a batch of {size} images to train on, but fold {few[0]} "
                "leaves fewer. Give more, or search with a smaller `batch_size` (--batch-size)."
            )

    def fits(self, parts: Sequence[np.ndarray], fold: int, share: float = 1.0) -> bool:
        """Returns whether the training images of a fold, or a fraction of them, are at least a batch."""
        return len(self._divided(self._others(parts, fold), share)[0]) >= self.settings.preset.batch_size

    def answered(
        self, run: Run, name: str, parts: Sequence[np.ndarray], fold: int, share: float, seconds: list[float]
    ) -> np.ndarray:
        """Returns which images of a fold are answered correctly by a network of the other folds, bool (num_images,).

        Args:
            run: Run of the cross-validation.
            name: Name of the network's folder.
            parts: Images of each fold.
            fold: Number of the fold.
            share: Fraction of the training images that are used.
            seconds: List to which the time is appended.
        """
        started, own = time.monotonic(), run.child(name)
        if own.has(ANSWERS):
            return own.load_arrays(ANSWERS)[0]["right"].astype(bool)
        train, validation = self._divided(self._others(parts, fold), share)
        task = dataclasses.replace(
            self.task, train=self._split(train), validation=self._split(validation), test=self._split(parts[fold])
        )
        self.observer.note(f"{name}: {len(train)} images to train on, {len(parts[fold])} to answer")
        self.observer.trial_started(name, tuple(self.keep_ratios), self.settings.preset.epochs)
        initial = started_by(self.space, self.architecture, task.train.images)
        life = Lifecycle(
            task, self.architecture, self.keep_ratios, self.settings, own, self.observer, self.pool, initial
        )
        life.train()
        best = Snapshot.load(own, BEST)
        best = dataclasses.replace(best, architecture=at_image_size(best.architecture, task.input_shape[:2]))
        right = best.network().logits(task.test.images)[-1].argmax(axis=-1) == task.test.labels
        own.save_arrays(ANSWERS, {"right": right.astype(np.uint8)}, {})
        for file in own.files():  # after the answers are safe: a part of its checkpoints could not be gone on with
            if file.endswith(".npz") and file != ANSWERS:
                own.remove(file)
        seconds.append(time.monotonic() - started)
        return right

    def _others(self, parts: Sequence[np.ndarray], fold: int) -> np.ndarray:
        return np.concatenate([part for number, part in enumerate(parts) if number != fold])

    def _divided(self, rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows for training, a fraction of them all, and for validation."""
        twins, seed = digests_of(self.images[rows]), self.settings.seed
        train, validation = carve_whole(self.labels[rows], twins, [VALIDATION_SHARE], seed)
        if share < 1:
            train = train[carve(self.labels[rows[train]], [1 - share], seed)[0]]
        return rows[train], rows[validation]

    def _split(self, rows: np.ndarray) -> Split:
        return Split(self.images[rows], self.labels[rows])


def _opened(result: Result, folds: int, overwrite: bool) -> Run:
    identity = {"search": result.document["files"], "images": result.task.fingerprint, "folds": folds}
    try:
        return Run.open(result.directory / FOLDER, identity, overwrite=overwrite)
    except ValueError as error:
        raise ValueError(
            f"`directory` must hold a cross-validation of this search with {folds} folds, or none, but "
            f"{result.directory / FOLDER} is another one. Start over: `overwrite=True` (--overwrite)."
        ) from error


def _parts(task: Task, folds: int, seed: int) -> list[np.ndarray]:
    """Returns the rows of each fold, among the images of training, validation and test."""
    splits = (task.train, task.validation, task.test)
    labels = np.concatenate([split.labels for split in splits])
    fewest = int(np.bincount(labels, minlength=task.num_classes).min())
    if not 2 <= folds <= fewest:
        raise ValueError(
            f"`folds` must be from 2 to the {fewest} images of the smallest class, but got {folds}. Each network needs "
            "images of every class to train on."
        )
    digests = np.concatenate([split.digests for split in splits])
    return carve_whole(labels, digests, [1 / folds] * (folds - 1), seed)


def _document(
    folds: int, parts: Sequence[np.ndarray], right: dict[int, np.ndarray], halves: dict[int, np.ndarray]
) -> dict[str, Any]:
    """Returns what `cross_validate` returns."""
    answered = np.concatenate([right[number] for number in sorted(right)])
    accuracy = float(answered.mean())
    half, gain = None, None
    if halves:
        with_half = np.concatenate([halves[number] for number in sorted(halves)])
        with_all = np.concatenate([right[number] for number in sorted(halves)])
        chance = p_value(with_half, with_all)
        half = {"accuracy": float(with_half.mean()), "full": float(with_all.mean()), "p_value": chance}
        gain = gain_of_twice(half["accuracy"], half["full"]) if chance < SIGNIFICANCE else None
    num_images = sum(map(len, parts))
    return {
        "folds": folds,
        "num_folds": len(right),
        "num_images": len(answered),
        "accuracy": accuracy,
        "interval": list(interval(accuracy, len(answered))),
        "per_fold": [float(right[number].mean()) for number in sorted(right)],
        "num_train": round((num_images - num_images / folds) * (1 - VALIDATION_SHARE)),
        "half": half,
        "gain_of_twice": gain,
    }


def gain_of_twice(half: float, full: float) -> float | None:
    """Returns the points that twice the images would give if the error falls as a power of their number.

    Args:
        half: Accuracy with half of the images.
        full: Accuracy with all of them.

    Returns:
        Points of accuracy, None if it did not rise.

    References:
        Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017, https://arxiv.org/abs/1712.00409,
        equation 1, without its constant.

    Example:
        >>> round(gain_of_twice(0.80, 0.90), 6)  # the error was halved, and is halved again
        5.0
    """
    errors = 1.0 - half, 1.0 - full
    return None if errors[1] >= errors[0] else 100 * errors[1] * (1 - errors[1] / errors[0])
