"""The allowed time, and a schedule that fits into it: measured before training and stored by the run."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path

from kgrow._files import read_json
from kgrow.graph import Architecture
from kgrow.lifecycle import Settings
from kgrow.lifecycle.pace import Pace, pace_of
from kgrow.run import Run
from kgrow.searching.course import cost, course
from kgrow.searching.proposals import Proposals
from kgrow.task import Task
from kgrow.training import Observer

# File in the run directory: a resumed run trains for the number of epochs that was decided first.
SCHEDULE = "schedule.json"
# Fraction of the allowed time for export and measurements, and its upper bound in seconds.
EXPORT_SHARE, MOST_EXPORT_S = 0.1, 20.0
# Fraction of the time for the epochs of one candidate: the speed of steps varies. What is left prolongs the best one.
SAFE_SHARE = 0.85
# Fewest epochs of a shortened schedule, and the smallest fraction of the images in each.
FEWEST_EPOCHS, LEAST_SHARE = 8, 0.02
# Seconds by which the allowed time may be exceeded for the first epoch, without which there is nothing to export.
GRACE_S = 10.0


def training_time(max_time: float) -> float:
    """Returns the seconds after which training ends, so that the export ends in time too."""
    return max_time - min(EXPORT_SHARE * max_time, MOST_EXPORT_S)


def fitted(
    settings: Settings,
    run: Run,
    allowed_s: float,
    measure: Callable[[], Pace],
    observer: Observer,
    max_time: float = float("inf"),
) -> Settings:
    """Returns the settings with a schedule that is short enough for one candidate; a run decides this once.

    Args:
        settings: Settings for unlimited time.
        run: Run that stores the schedule.
        allowed_s: Seconds for one candidate; infinity for no limit.
        measure: Function that measures the pace of training.
        observer: Observer that is notified if the schedule is shortened.
        max_time: Largest total time in seconds, for messages.

    Raises:
        ValueError: If the time is too short for one epoch; the message says how much would do.
    """
    if not run.has(SCHEDULE):
        preset, epochs, share = settings.preset, settings.preset.epochs, 1.0
        if allowed_s < float("inf"):
            before = time.monotonic()
            pace = measure()
            left_s = allowed_s - (time.monotonic() - before)
            epochs, share = _shortened(pace, preset.epochs, left_s, max_time)
            if (epochs, share) != (preset.epochs, 1.0):
                part = "" if share == 1 else f" of {100 * share:.0f} % of the images each"
                observer.note(
                    f"the schedule of {preset.epochs} epochs is shortened to {epochs}{part}, which fit into the time "
                    f"allowed: an epoch takes {pace.epoch_s:.2g} s here"
                )
        run.write_json(SCHEDULE, {"epochs": epochs, "share": share})
    return with_schedule(settings, run.path)


def with_schedule(settings: Settings, directory: Path) -> Settings:
    """Returns the settings with the schedule that a run has decided on.

    Args:
        settings: Settings for unlimited time.
        directory: Run directory.
    """
    schedule = read_json(directory / SCHEDULE, {"epochs": int, "share": float})
    if schedule == {"epochs": settings.preset.epochs, "share": 1.0}:
        return settings
    preset = dataclasses.replace(settings.preset.stretched(schedule["epochs"]), epoch_share=schedule["share"])
    return dataclasses.replace(settings, preset=preset)


def _shortened(pace: Pace, epochs: int, left_s: float, max_time: float) -> tuple[int, float]:
    """Returns how many epochs fit into a time, and the fraction of the images in each.

    A schedule of fewer epochs than `FEWEST_EPOCHS` has no room to grow, prune and recover: its epochs become shorter
    instead.
    """
    fitting, fewest = pace.epochs_within(SAFE_SHARE * left_s), min(FEWEST_EPOCHS, epochs)
    if fitting >= fewest:
        return min(epochs, fitting), 1.0
    share = pace.share_within(SAFE_SHARE * left_s, fewest)
    if share >= LEAST_SHARE:
        return fewest, share
    if pace.seconds_for(1, 1.0) <= left_s + GRACE_S:
        return 1, 1.0
    missing_s = pace.seconds_for(fewest, LEAST_SHARE) / SAFE_SHARE - left_s
    least = math.ceil(max_time + missing_s / (1 - EXPORT_SHARE))
    raise ValueError(
        f"`max_time` must be at least about {least} s on this machine, but got {max_time:g} s: an epoch takes "
        f"{pace.epoch_s:.3g} s, after {pace.starting_s:.3g} s until the first step. Give it, fewer images, or a "
        "narrower space."
    )


def mean_pace(task: Task, largest: Architecture, proposals: Proposals, settings: Settings) -> Pace:
    """Measures the pace of the first whole network, and returns the mean of a training that begins with it.

    The network grows until then, and its images and channels change after it, at a known relative cost.

    Args:
        task: Data of the training.
        largest: Largest network that may be trained.
        proposals: Source of the candidates.
        settings: Settings of the training.
    """
    networks = course(largest, proposals, settings)
    whole = next(network for network in networks if len(network.blocks) == len(largest.blocks))
    costs = [cost(network, settings.preset.batch_size) for network in (whole, *networks)]
    changes = len({network for network in networks if len(network.blocks) == len(largest.blocks)}) - 1
    return pace_of(task, whole, settings).changed(sum(costs[1:]) / len(networks) / costs[0], changes)
