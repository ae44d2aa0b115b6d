"""The plan of a search: reads the data and resolves schedule, keep ratios and prices."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from kgrow._checks import check_keep_ratios
from kgrow._plugins import Registry
from kgrow.config import Config, Data, Pruning
from kgrow.exporting.export import check_representative_dataset
from kgrow.lifecycle import ChannelPruning, Preset, Settings
from kgrow.lifecycle.class_weights import chosen_class_weights
from kgrow.lifecycle.distribute import make_strategy
from kgrow.lifecycle.settings import brings_schedule
from kgrow.plan import SearchPlan
from kgrow.registry import AUGMENTATIONS, CHANNEL_CRITERIA, CRITERIA, POLICIES, PRESETS
from kgrow.run import Run
from kgrow.searching import time_limit
from kgrow.searching.choice import ACCURATE, SMALL, check_preference
from kgrow.searching.estimating import chosen_estimator, searching_share
from kgrow.searching.estimating.calibration import NUM_CANDIDATES
from kgrow.searching.image_size import fitting_size
from kgrow.searching.limits import Limits
from kgrow.searching.objective import chosen_objective
from kgrow.searching.pretrained import Pretrained
from kgrow.searching.proposals import Proposals
from kgrow.starting import space_of, started
from kgrow.structure import StructurePolicy
from kgrow.task import Augmentation, Task
from kgrow.training import Observer

# Multiply-accumulates from which the widths of layers decide how long a step takes.
LARGE_MACS = 2_000_000


def planned(dataset: Any, config: Config, note: Callable[[str], None]) -> tuple[Task, SearchPlan, Config]:
    """Reads the data and returns the plan of a search; nothing is trained or written.

    Args:
        dataset: Data; see `kgrow.search`.
        config: Configuration of the search.
        note: Function called with messages about reading the data.

    Returns:
        The data, the plan, and the configuration including the options used for reading the data.

    Raises:
        LimitError: If no candidate fits the limits.
        ValueError: If the configuration does not fit the data.
    """
    tuning, pruning = config.tuning, config.pruning
    goal = chosen_objective(tuning.objective)
    prefer = tuning.prefer or (ACCURATE if tuning.bounds.given or goal.counts_energy else SMALL)
    check_preference(prefer, goal)
    quantization = config.export.quantize or "int8"
    task = read_task(dataset, config, note)
    check_representative_dataset(task, quantization)
    given = config.growth
    config = dataclasses.replace(config, growth=started(given, task, note))
    config = _with_preset(config, note)
    preset, growth = resolve_preset(config, task), _growth(config)
    propose = functools.partial(
        Proposals,
        limits=tuning.bounds,
        keep_ratio=chosen_keep_ratio(pruning.keep_ratio, pruning.channel_keep_ratio, preset, tuning.bounds, growth),
        scope=pruning.scope,
        quantization=quantization,
        counts_energy=goal.counts_energy,
        wants_small=prefer == SMALL,
    )
    size, space = config.data.image_size, space_of(config.growth)
    fitting = fitting_size(task, functools.partial(propose, space), size, may_resize=is_named(dataset) and size is None)
    if fitting is not size:
        task = read_task(
            dataset, dataclasses.replace(config, data=dataclasses.replace(config.data, image_size=fitting)), note
        )
        height, width, _ = task.input_shape
        note(f"images are resized to {height}x{width}, the largest size with a network within the limits")
        if isinstance(space, Pretrained):  # there are weights for several sizes
            config = dataclasses.replace(config, growth=started(given, task, note))
    proposals = propose(space_of(config.growth), task)
    depth = max(depth for depth, _ in proposals.variants)
    follows = growth is None or not brings_schedule(growth, preset)
    preset.check_num_blocks(depth, grows=growth is None, prunes=follows)
    plan = SearchPlan(
        proposals=proposals,
        settings=_settings(task, config, preset, proposals),
        objective=goal,
        oracle=tuning.oracle,
        trials=max(tuning.trials, NUM_CANDIDATES if tuning.calibrate else 1),
        estimator=chosen_estimator(tuning.estimator, tuning.calibrate),
        calibrate=tuning.calibrate,
        prefer=prefer,
    )
    return task, plan, dataclasses.replace(config, data=_how_read(task))


def _with_preset(config: Config, note: Callable[[str], None]) -> Config:
    """Returns the configuration with the schedule that its space suggests, if it names no other."""
    usual, suggested = Config().training.preset, space_of(config.growth).preset
    if config.training.preset != usual or suggested == usual:
        return config
    note(f"the schedule is {suggested!r}, that of the space; another `preset` may be named")
    return dataclasses.replace(config, training=dataclasses.replace(config.training, preset=suggested))


def _how_read(task: Task) -> Data:
    return Data(**{field.name: task.origin[field.name] for field in dataclasses.fields(Data)})


def read_task(dataset: Any, config: Config, note: Callable[[str], None]) -> Task:
    """Returns the data of a search.

    Raises:
        ValueError: If a `Task` was read with options other than the configuration's.
    """
    given = {name: value for name, value in vars(config.data).items() if value is not None}
    if not isinstance(dataset, Task):
        return Task.of(dataset, seed=config.training.seed, on_progress=note, **given)
    for name, value in given.items():
        read = dataset.origin[name]
        if read != value:
            raise ValueError(
                f"`data.{name}` must be how the `Task` was read, {read!r}, but got {value!r}. Give it to `Task.of`."
            )
    return dataset


def is_named(dataset: Any) -> bool:
    """Returns whether data can be read again, because they are a name or a folder."""
    return isinstance(dataset, str | os.PathLike)


def _chosen(table: Registry, given: Any) -> Any:
    return table[given] if isinstance(given, str) else given


def _growth(config: Config) -> StructurePolicy | None:
    """Returns the growth policy; None for the epochs of the preset."""
    given = config.growth.policy
    return None if given == "fixed" else _chosen(POLICIES, given)


def _settings(task: Task, config: Config, preset: Preset, proposals: Proposals) -> Settings:
    training, pruning = config.training, config.pruning
    criterion = _chosen(CRITERIA, pruning.criterion)
    settings = Settings(
        preset=preset,
        criterion=criterion(training.seed) if isinstance(pruning.criterion, str) else criterion,
        scope=pruning.scope,
        regrowth=pruning.regrowth,
        augmentation=_chosen_augmentation(training.augmentation, task),
        seed=training.seed,
        channels=channel_pruning(pruning, proposals, training.seed),
        growth=_growth(config),
        distribution=None if training.distribute is None else make_strategy(training.distribute, preset.batch_size),
        class_weights=chosen_class_weights(training.class_weight, task.class_names, task.train.labels),
        precision=training.precision,
        budget=proposals.limits.given,
    )
    _check_together(config, settings)
    return with_prices(settings, len(task.train))


def _check_together(config: Config, settings: Settings) -> None:
    """Raises ValueError if settings of pruning exclude each other, or a growth policy that prunes as it grows."""
    one_by_one = "pruning.regrowth" if settings.regrowth else "growth.policy" if settings.trades else None
    if one_by_one and settings.channels:
        raise ValueError(
            f"`{one_by_one}` must come with connections that are pruned one by one, but here whole channels go. "
            "Give `keep_ratio` (--keep-ratio), or a limit on `params`, and no `channel_keep_ratio`."
        )
    if not settings.brings_schedule:
        return
    default, pruning = Config().pruning, config.pruning
    unused = ("strategy", "criterion", "regrowth", "scope") if settings.trades else ("strategy",)
    for name in unused:
        if getattr(pruning, name) != getattr(default, name):
            raise ValueError(
                f"`pruning.{name}` must be left out with a growth policy that prunes as it grows, but got "
                f"{getattr(pruning, name)!r}. Choose another `growth.policy` (--growth)."
            )


def resolve_preset(config: Config, task: Task) -> Preset:
    """Returns the schedule of a run; schedules that are not published are adapted to the size of the data."""
    training = config.training
    preset: Preset = _chosen(PRESETS, training.preset)
    adapts = preset in (PRESETS["default"], PRESETS["early_exit"], PRESETS["fine_tune"])
    resolved = preset.suited_to(len(task.train), min(task.input_shape[:2])) if adapts else preset
    if training.epochs is not None:
        resolved = resolved.stretched(training.epochs)
    if training.batch_size is not None:
        resolved = dataclasses.replace(resolved, batch_size=training.batch_size)
    resolved.check_batch_size(len(task.train))
    strategy = config.pruning.strategy
    return resolved if strategy is None else dataclasses.replace(resolved, strategy=strategy)


def _chosen_augmentation(given: str | Augmentation, task: Task) -> Augmentation:
    return AUGMENTATIONS[given](task) if isinstance(given, str) else given


def chosen_keep_ratio(
    given: Any, channel_keep_ratio: Any, preset: Preset, limits: Limits, growth: StructurePolicy | None
) -> Any:
    """Returns the given keep ratio, 1 if something else decides what stays, or None to search it."""
    prunes = bool(preset.prune_epochs) or (growth is not None and brings_schedule(growth, preset))
    if not prunes:
        _check_prunes_nothing(given, channel_keep_ratio)
    is_decided = (channel_keep_ratio is not None or preset.strategy == "bayes") and limits.params is None
    return 1.0 if given is None and (is_decided or not prunes) else given


def _check_prunes_nothing(keep_ratio: Any, channel_keep_ratio: Any) -> None:
    """Raises ValueError if pruning is requested from a preset without pruning events."""
    for name, given in {"keep_ratio": keep_ratio, "channel_keep_ratio": channel_keep_ratio}.items():
        if given is not None and np.any(np.asarray(given) != 1.0):
            raise ValueError(
                f"`{name}` must be 1 with a preset that prunes nothing, but got {given!r}. Choose 'default', "
                "'grow_oneshot' or 'grow_iter'."
            )


def channel_pruning(pruning: Pruning, proposals: Proposals, seed: int) -> ChannelPruning | None:
    """Returns the settings of channel pruning, or None if channels are not pruned."""
    ratios = pruning.channel_keep_ratio
    if ratios is not None:
        ratios = check_keep_ratios(ratios, len(proposals.full.blocks), "channel_keep_ratio")
    elif not proposals.removes_channels:
        return None
    given = pruning.channel_criterion
    criterion = CHANNEL_CRITERIA[given](seed) if isinstance(given, str) else given
    # Kernels compute 8 channels at a time; in the smallest networks a step costs more than its arithmetic.
    multiple = 8 if proposals.full.macs() >= LARGE_MACS else 1
    return ChannelPruning(ratios, criterion, pruning.channel_multiple or multiple)


def with_prices(settings: Settings, num_train: int) -> Settings:
    """Returns settings with prices for the evidence, if their strategy uses evidence.

    A criterion without its own price costs one nat over all training images: the prior taken literally.
    """
    if settings.preset.strategy != "bayes":
        return settings
    channels, criterion = settings.channels, _priced(settings.criterion, "criterion", num_train)
    if channels is not None:
        priced = _priced(channels.criterion, "channel_criterion", num_train)
        channels = dataclasses.replace(channels, criterion=priced)
    return dataclasses.replace(settings, criterion=criterion, channels=channels)


def _priced(criterion: Any, name: str, num_train: int) -> Any:
    if criterion.min_saliency:
        return criterion
    if not criterion.in_nats:
        raise ValueError(
            f"`{name}` must be 'fisher', or have a `min_saliency`, with the strategy 'bayes', but got {criterion!r}: "
            "the evidence decides how many stay."
        )
    return dataclasses.replace(criterion, min_saliency=1 / num_train)


def in_time(
    task: Task, plan: SearchPlan, run: Run, started: float, max_time: float | None, observer: Observer
) -> SearchPlan:
    """Returns the plan with a schedule that fits the time.

    Args:
        task: Data of the search.
        plan: Plan with the schedule for unlimited time.
        run: Run that stores the schedule.
        started: `time.monotonic()` value at the start of the search.
        max_time: Largest total time in seconds; None for no limit.
        observer: Observer that is notified if the schedule is shortened.
    """
    max_time = float("inf") if max_time is None else max_time
    share = searching_share(plan.estimator)
    allowed = (started + time_limit.training_time(max_time) - time.monotonic()) * (share if share == 1 else 1 - share)
    largest, _ = next(iter(plan.proposals.variants.values()))
    settings = time_limit.fitted(
        plan.settings,
        run,
        allowed,
        lambda: time_limit.mean_pace(task, largest, plan.proposals, plan.settings),
        observer,
        max_time,
    )
    return dataclasses.replace(plan, settings=settings)
