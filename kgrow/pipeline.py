"""`search`, the main job: from what a user gives to a plan, which is carried out."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kgrow._files import read_json
from kgrow._keras import pinned
from kgrow._rules import checked
from kgrow._units import check_seconds
from kgrow.configuration import (
    channel_pruning,
    chosen_augmentation,
    chosen_class_weights,
    chosen_keep_ratio,
    configuration,
    in_time,
    resolve_preset,
    with_prices,
)
from kgrow.document import source_document
from kgrow.execution import Plan, Search
from kgrow.exporting.bundle import LABELS, METADATA, PROGRAM
from kgrow.exporting.export import check_representative_dataset
from kgrow.exporting.latency import untrained_latency_ms
from kgrow.inventory import check_same_images, record_images
from kgrow.lifecycle import PRESETS, Preset, Settings
from kgrow.lifecycle.distribute import make_strategy
from kgrow.pruning import CRITERIA, ChannelCriterion, Criterion
from kgrow.reporting.progress import display_for
from kgrow.result import Result, load
from kgrow.run import MODEL, RESULT, Run
from kgrow.search_rules import REMOVED, RULES
from kgrow.searching import SPACES, SearchSpace, latency
from kgrow.searching.choice import ACCURATE, check_preference
from kgrow.searching.engine import Ray, check_environment
from kgrow.searching.estimating import Estimator, Full, chosen_estimator
from kgrow.searching.estimating.calibration import NUM_CANDIDATES
from kgrow.searching.image_size import fitting_size
from kgrow.searching.limits import Limits
from kgrow.searching.objective import Objective, chosen_objective
from kgrow.searching.proposals import Proposals
from kgrow.task import Augmentation, Task


@pinned()
@checked(RULES, REMOVED)
def search(  # noqa: PLR0913 - the one call of the README; all but the data are keywords with a default
    dataset: Any,
    *,
    limits: Limits | Mapping[str, float | str] | None = None,
    trials: int = 4,
    oracle: Any = "bayesian",
    estimator: str | Estimator = "full",
    calibrate: bool = False,
    objective: str | Objective = "accuracy",
    prefer: str = ACCURATE,
    quantize: str | None = None,
    space: str | SearchSpace = "compact",
    preset: str | Preset = "default",
    epochs: int | None = None,
    batch_size: int | None = None,
    keep_ratio: float | Sequence[float] | None = None,
    criterion: str | Criterion = "magnitude",
    strategy: str | None = None,
    scope: str = "block",
    channel_keep_ratio: float | Sequence[float] | None = None,
    channel_criterion: str | ChannelCriterion = "gate",
    channel_multiple: int = 1,
    augmentation: str | Augmentation = "suited",
    validation_data: Any = None,
    validation_split: float | None = None,
    test_data: Any = None,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    class_names: Iterable[str] | None = None,
    class_weight: str | Mapping[str | int, float] | None = "auto",
    max_time: float | str | None = None,
    seed: int = 0,
    directory: str | os.PathLike[str] = "kgrow_runs",
    project_name: str | None = None,
    overwrite: bool = False,
    distribute: Any = None,
    engine: str | Ray | None = "local",
    verbose: int = 1,
) -> Result:
    """Grows, prunes, picks and exports the best classifier within the limits.

    The same call on the same directory takes up a run where it was killed and ends with the same result.

    Args:
        dataset: Anything `Task.of` accepts: a name, arrays, a folder, a `tf.data.Dataset`, a `Sequence`.
        limits: Hard bounds on the result: the exported file satisfies them all. `Limits`, or a mapping of them by
            name, such as `{"flash_bytes": "64KB"}`.
        trials: Candidates to try at most. A run may be given more later, which end as if all had been asked for at
            first; fewer than it has tried leave it as it is.
        oracle: What decides what is tried next: a name in `kgrow.searching.oracles.ORACLES` or a `keras_tuner.Oracle`.
        estimator: How good a candidate is said to be: a name in `kgrow.searching.estimating.ESTIMATORS` or an
            `Estimator`. All but `"full"` are approximate; the three best candidates are then trained in full, and only
            what was trained in full can win.
        calibrate: Whether the first ten candidates are trained in full too, to tell how far the estimates can be
            trusted: Kendall's tau. Ten candidates are tried then at least.
        objective: What is maximised: `"accuracy"` or another of `kgrow.searching.objective.OBJECTIVES` with its number,
            such as `"mixed:0.9"`, or an `Objective`.
        prefer: What decides between networks within one standard error of the highest validation accuracy:
            `"accurate"`, the lowest validation loss, or `"small"`, the smallest file.
        quantize: Format of the file, `"float32"` or `"int8"`; by default int8 if the limits concern the file.
        space: What the network may grow into: a name in `kgrow.searching.SPACES` or a `SearchSpace`.
        preset: The training schedule: a name in `kgrow.lifecycle.PRESETS` or a `Preset`, taken as it is.
        epochs: Stretches the preset to this length.
        batch_size: Images per step, in place of the preset's.
        keep_ratio: Kept fraction of the connections, in (0, 1]: one for all blocks or one per block. Searched by
            default.
        criterion: Which connections are kept: a name in `kgrow.pruning.CRITERIA` or a `Criterion`.
        strategy: `"one-shot"`, `"iterative"` or `"bayes"`, in place of the preset's. With the last the evidence decides
            how many connections stay; keep ratios, then 1 by default, are what may stay at most.
        scope: What is ranked together: `"layer"`, `"block"` or `"global"`.
        channel_keep_ratio: Kept fraction of the channels, in (0, 1], one or one per block: whole channels are pruned,
            then the connections inside to `keep_ratio` (which is then 1 by default). Unlike single connections they
            make the file smaller and faster.
        channel_criterion: Which channels are kept: a name in `kgrow.pruning.CHANNEL_CRITERIA` or a `ChannelCriterion`.
        channel_multiple: Layer widths are rounded to multiples of this number; 8 and 16 suit 8 bit kernels.
        augmentation: Changes of training images: `"suited"` to the data (shifts, and mirroring of colour images),
            `"cutout"` (the same, and a square is blanked), `"shift"` (without mirroring), `"none"`, or an
            `Augmentation`.
        validation_data: Decides between candidates and epochs, in place of a part of the training images.
        validation_split: The share of the training images that is that part; by default a tenth of a TensorFlow data
            set, 15 % of others. Where one candidate is trained and little is to be decided, less will do.
        test_data: Used once, for the final figures.
        data_dir: Where TensorFlow Datasets keeps its data.
        image_size: Images are resized to it. If it is not given and nothing fits the limits, data that are named or lie
            in a folder are resized to the largest size at which something does.
        class_names: Names of the classes, in the order of the labels; for a folder, its order. By default those that
            the data carry, or else numbers.
        class_weight: How much an image of each class counts in the training loss: `"balanced"` (inversely to the number
            of images of its class), `"none"`, or a number by name or index of a class, 1 for the others. `"auto"`
            balances classes of which the largest has more than three times as many images as the smallest.
        max_time: Seconds for everything, or a text such as `"10m"`, from reading the data to the export. The schedule
            is shortened until one candidate fits, and training stops between two steps; the best network so far is
            exported, as it stands if none has its final structure. One epoch is trained in any case.
        seed: Random seed.
        directory: Parent of run directories.
        project_name: The run directory's name; the data set's by default.
        overwrite: Whether a run in that directory is started over; by default an equal one goes on.
        distribute: `"mirrored"`, or a `tf.distribute.Strategy`: its replicas share every batch, each on a device of its
            own. By default one device trains.
        engine: What trains the candidates: `"local"`, this process, one after the other, or `"ray"`, a Ray cluster of
            one machine or several, as many at once as it has room for, or a `Ray` with its address and what each
            candidate takes of it.
        verbose: 0 silent, 1 live display on a terminal and lines elsewhere, 2 lines.

    Returns:
        The best network with every measured figure; `model.tflite`, its labels, its description and a program that
        classifies images are in the run directory.

    Raises:
        ValueError: If an argument or the data are unusable; the message says how to fix it.
        LimitError: If no candidate satisfies the limits; the message names the nearest one and the limit that binds.
        ConnectionError: If the cluster of `engine` cannot be reached.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = search("digits", epochs=3, keep_ratio=0.5, directory=folder, verbose=0)
        >>> result.document["best"]["artefacts"][0]["max_abs_diff"] < 1e-3
        True
    """
    started = time.monotonic()
    goal = chosen_objective(objective)
    check_preference(prefer, goal)
    limits = Limits() if limits is None else Limits.check(limits, "limits")
    quantization = quantize or ("int8" if limits.concern_the_file else "float32")
    read = functools.partial(
        Task.of,
        dataset,
        validation_data=validation_data,
        validation_split=validation_split,
        test_data=test_data,
        data_dir=data_dir,
        seed=seed,
        class_names=class_names,
        on_progress=display_for(verbose).note,
    )
    task = read(image_size=image_size)
    check_representative_dataset(task, quantization)
    schedule = PRESETS[preset] if isinstance(preset, str) else preset
    resolved = resolve_preset(schedule, task, epochs, batch_size, strategy)
    propose = functools.partial(
        Proposals,
        SPACES[space] if isinstance(space, str) else space,
        limits=limits,
        keep_ratio=chosen_keep_ratio(keep_ratio, channel_keep_ratio, resolved, limits),
        scope=scope,
        quantization=quantization,
        counts_energy=goal.counts_energy,
    )
    is_named = isinstance(dataset, str | os.PathLike)
    size = fitting_size(task, propose, image_size, may_resize=is_named and image_size is None)
    task = task if size is image_size else read(image_size=size)
    proposals = propose(task)
    num_blocks = len(proposals.full.blocks)
    resolved.check_num_blocks(max(depth for depth, _, _ in proposals.variants))
    settings = Settings(
        preset=resolved,
        criterion=CRITERIA[criterion](seed) if isinstance(criterion, str) else criterion,
        scope=scope,
        augmentation=chosen_augmentation(augmentation)(task),
        seed=seed,
        channels=channel_pruning(channel_keep_ratio, channel_criterion, channel_multiple, num_blocks, seed),
        strategy=None if distribute is None else make_strategy(distribute, resolved.batch_size),
        class_weights=chosen_class_weights(class_weight, task.class_names, task.train.labels),
    )
    plan = Plan(
        proposals=proposals,
        settings=with_prices(settings, len(task.train)),
        objective=goal,
        oracle=oracle,
        trials=max(trials, NUM_CANDIDATES if calibrate else 1),
        estimator=chosen_estimator(estimator, calibrate),
        calibrate=calibrate,
        prefer=prefer,
    )
    path = Path(directory) / (project_name or default_project_name(task))
    if not overwrite:
        check_same_images(path, task, (lambda: task) if is_named else functools.partial(read, image_size=image_size))
    check_environment(os.environ)
    cluster = engine if isinstance(engine, Ray) else None
    with contextlib.ExitStack() as stack:
        if cluster is not None:
            stack.enter_context(_connected(cluster, plan))
        run = stack.enter_context(Run.open(path, configuration(task, plan), overwrite=overwrite))
        record_images(run, task)
        is_whole = all(map(run.has, (RESULT, MODEL, LABELS, METADATA, PROGRAM)))
        if is_whole and _is_complete(run.path, plan.trials):
            return load(path, task)
        observer = stack.enter_context(display_for(verbose))
        if size is not image_size:
            height, width, _ = task.input_shape
            observer.note(f"images are resized to {height}x{width}, the largest size with a network within the limits")
        if settings.channels is None:  # with fewer channels a file is quicker than the network was
            measure = functools.partial(untrained_latency_ms, task, quantization)
            plan = dataclasses.replace(plan, proposals=latency.measured(proposals, run, measure, observer))
        seconds = None if max_time is None else check_seconds(max_time, "max_time")
        plan = in_time(task, plan, run, started, seconds, observer)
        source = source_document(dataset, data_dir, size, validation_split, class_names)
        return Search(task, plan, run, observer, source, cluster).result(seconds, started)


def _connected(engine: Ray, plan: Plan) -> contextlib.AbstractContextManager[None]:
    """Connects to a cluster, if it can train what is planned."""
    if not isinstance(plan.estimator, Full):
        raise ValueError(
            f"`estimator` must be 'full' with the engine 'ray', but got {plan.estimator!r}. What an estimator says of "
            "a candidate depends on those before it, which a cluster trains at the same time."
        )
    if plan.settings.strategy is not None:
        raise ValueError(
            "`distribute` must be None with the engine 'ray', but got a strategy. Give a candidate several GPUs by one "
            "of the two: candidates side by side keep all of them busy too."
        )
    from kgrow.searching.ray_trials import connected  # Ray takes its time, and need not be installed

    return connected(engine)


def _is_complete(path: Path, trials: int) -> bool:
    """Returns whether a search has written its result, every trial of it has ended, and no more are asked for."""
    found = read_json(path / RESULT, {"complete": bool, "trials": int})
    return found["complete"] and found["trials"] >= trials


def default_project_name(task: Task) -> str:
    """Returns a directory name made of the data set's."""
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in task.name)
