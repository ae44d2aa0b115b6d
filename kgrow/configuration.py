"""What a search is told, resolved: schedule, keep ratios and prices, and the document that a run is known by."""

from __future__ import annotations

import dataclasses
import numbers
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_keep_ratios, check_positive, lookup, nearest, plain
from kgrow._rules import one_of
from kgrow.document import task_document
from kgrow.execution import Plan
from kgrow.lifecycle import PRESETS, ChannelPruning, Observer, Preset, Settings
from kgrow.lifecycle.pace import pace_of
from kgrow.pruning import CHANNEL_CRITERIA, ChannelCriterion
from kgrow.run import Run, described
from kgrow.searching import time_limit
from kgrow.searching.estimating import searching_share
from kgrow.searching.limits import Limits
from kgrow.task import AUGMENTATIONS, Augmentation, Task

CLASS_WEIGHTS = ("auto", "balanced", "none")
# Between the numbers of images of the largest and the smallest class: beyond it "auto" balances them.
LARGEST_IMBALANCE = 3


def resolve_preset(
    preset: Preset, task: Task, epochs: int | None, batch_size: int | None, strategy: str | None
) -> Preset:
    """Returns the schedule that a run follows; those that are not published are suited to the size of the data."""
    resolved = preset.suited_to(len(task.train)) if preset in (PRESETS["default"], PRESETS["early_exit"]) else preset
    if epochs is not None:
        resolved = resolved.stretched(epochs)
    if batch_size is not None:
        resolved = dataclasses.replace(resolved, batch_size=batch_size)
    resolved.check_batch_size(len(task.train))
    return resolved if strategy is None else dataclasses.replace(resolved, strategy=strategy)


def chosen_augmentation(given: str | Augmentation) -> Callable[[Task], Augmentation]:
    """Returns how the training images of a task are changed."""
    if isinstance(given, Augmentation):
        return lambda task: given
    return lookup(AUGMENTATIONS, given, "augmentation")


def chosen_keep_ratio(given: Any, channel_keep_ratio: Any, preset: Preset, limits: Limits) -> Any:
    """Returns the keep ratio that is given, 1 where something else decides what stays, or None to search it."""
    if not preset.prune_epochs:
        _check_prunes_nothing(given, channel_keep_ratio)
    is_decided = (channel_keep_ratio is not None or preset.strategy == "bayes") and limits.params is None
    return 1.0 if given is None and (is_decided or not preset.prune_epochs) else given


def _check_prunes_nothing(keep_ratio: Any, channel_keep_ratio: Any) -> None:
    """Raises ValueError if something is to be pruned by a preset without events of pruning."""
    for name, given in {"keep_ratio": keep_ratio, "channel_keep_ratio": channel_keep_ratio}.items():
        if given is not None and np.any(np.asarray(given) != 1.0):
            raise ValueError(
                f"`{name}` must be 1 with a preset that prunes nothing, but got {given!r}. Choose 'default', "
                "'grow_oneshot' or 'grow_iter'."
            )


def channel_pruning(
    keep_ratio: float | Sequence[float] | None,
    criterion: str | ChannelCriterion,
    multiple_of: int,
    num_blocks: int,
    seed: int,
) -> ChannelPruning | None:
    """Returns how whole channels are pruned, or None if they are not."""
    if keep_ratio is None:
        return None
    ratios = check_keep_ratios(keep_ratio, num_blocks, "channel_keep_ratio")
    if isinstance(criterion, str):
        criterion = lookup(CHANNEL_CRITERIA, criterion, "channel_criterion")(seed)
    return ChannelPruning(ratios, criterion, multiple_of)


def chosen_class_weights(
    given: str | Mapping[str | int, float] | None, class_names: Sequence[str], labels: np.ndarray
) -> tuple[float, ...] | None:
    """Returns the factor of the loss of a training image by its class, or None if all count alike.

    Args:
        given: See `kgrow.search`.
        class_names: In the order of the labels.
        labels: Class indices of the training images.

    Returns:
        One positive number per class, such that the mean over the training images is 1.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    if isinstance(given, Mapping):
        weights = np.ones(len(class_names))
        for name, weight in given.items():
            weights[_class_index(name, class_names)] = weight
    else:
        is_balanced = given == "balanced" or (given == "auto" and counts.max() > LARGEST_IMBALANCE * counts.min())
        weights = 1 / counts if is_balanced else np.ones(len(class_names))
    weights = weights * (len(labels) / np.sum(weights * counts))
    return None if np.allclose(weights, 1) else tuple(weights.tolist())


def _class_index(name: str | int, class_names: Sequence[str]) -> int:
    is_index = isinstance(name, numbers.Integral) and not isinstance(name, bool)
    if is_index and 0 <= int(name) < len(class_names):
        return int(name)
    if name not in class_names:
        raise ValueError(
            f"`class_weight` must have names or numbers of classes as keys, but got {name!r}. "
            f"{nearest(str(name), class_names)}".rstrip()
        )
    return list(class_names).index(str(name))


def check_class_weight(value: Any, name: str) -> str | dict[str | int, float]:
    """Returns the name of a rule for the weights of classes, or the weights of some of them as plain floats.

    Raises:
        ValueError: If it is neither; whether the classes exist is seen when the data are read.
    """
    if isinstance(value, Mapping):
        return {each: check_positive(plain(weight), f"{name}[{each!r}]") for each, weight in value.items()}
    return "none" if value is None else one_of(CLASS_WEIGHTS)(value, name)


def with_prices(settings: Settings, num_train: int) -> Settings:
    """Returns settings by which the evidence decides, if their strategy says so.

    What has no price of its own costs one nat over all training images: the prior taken at its word.
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
            f"`{name}` must be 'bayes', or have a `min_saliency`, with the strategy 'bayes', but got {criterion!r}: "
            "the evidence decides how many stay."
        )
    return dataclasses.replace(criterion, min_saliency=1 / num_train)


def in_time(task: Task, plan: Plan, run: Run, started: float, max_time: float | None, observer: Observer) -> Plan:
    """Returns the plan with a schedule that the time allows.

    Args:
        task: The data.
        plan: With the schedule for all the time there is.
        run: Remembers the schedule.
        started: `time.monotonic()` when the search began.
        max_time: Seconds that all of it may take; None for no limit.
        observer: Told if the schedule is shortened.
    """
    max_time = float("inf") if max_time is None else max_time
    share = searching_share(plan.estimator)
    allowed = (started + time_limit.training_time(max_time) - time.monotonic()) * (share if share == 1 else 1 - share)
    largest, _ = next(iter(plan.proposals.variants.values()))
    settings = time_limit.fitted(plan.settings, run, allowed, lambda: pace_of(task, largest, plan.settings), observer)
    return dataclasses.replace(plan, settings=settings)


def configuration(task: Task, plan: Plan) -> dict[str, Any]:
    """Returns the resolved configuration: a run is taken up only with an equal one.

    The number of trials is not in it: a run may be given more.
    """
    proposals, settings = plan.proposals, plan.settings
    return {
        "task": task_document(task) | {"fingerprint": task.fingerprint},
        "architecture": proposals.full.to_json(),
        "variants": [list(variant) for variant in proposals.variants],
        "keep_ratios": proposals.keep_ratios,
        "limits": dataclasses.asdict(proposals.limits),
        "quantization": proposals.quantization,
        "oracle": plan.oracle if isinstance(plan.oracle, str) else type(plan.oracle).__name__,
        "estimator": described(plan.estimator),
        "calibrate": plan.calibrate,
        "objective": described(plan.objective),
        "prefer": plan.prefer,
        "preset": dataclasses.asdict(settings.preset),
        "criterion": described(settings.criterion),
        "scope": settings.scope,
        "channels": None if settings.channels is None else _fields(settings.channels),
        "augmentation": dataclasses.asdict(settings.augmentation),
        "class_weights": settings.class_weights,
        "replicas": 1 if settings.strategy is None else settings.strategy.num_replicas_in_sync,
        "seed": settings.seed,
    }


def _fields(channels: ChannelPruning) -> dict[str, Any]:
    return {**vars(channels), "criterion": described(channels.criterion)}
