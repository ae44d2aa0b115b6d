"""The time allowed, and a schedule that fits into it: measured before any training and remembered by the run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from kgrow.lifecycle import Settings
from kgrow.lifecycle.pace import Pace
from kgrow.run import Run
from kgrow.training import Observer

# Of the run directory: a run that is taken up trains for as many epochs as was decided first.
SCHEDULE = "schedule.json"
# What export and measurements may take of the time allowed, and at most.
EXPORT_SHARE, MOST_EXPORT_S = 0.2, 60.0
# What the epochs of one candidate may take of its time: steps are not equally fast all the time.
SAFE_SHARE = 0.9


def training_time(max_time: float) -> float:
    """Returns the seconds after which training ends, so that the export ends in time too."""
    return max_time - min(EXPORT_SHARE * max_time, MOST_EXPORT_S)


def fitted(settings: Settings, run: Run, allowed_s: float, measure: Callable[[], Pace], observer: Observer) -> Settings:
    """Returns the settings with a schedule that is short enough for one candidate; a run decides that once.

    Args:
        settings: How candidates would be trained in all the time there is.
        run: Remembers the schedule.
        allowed_s: Seconds for one candidate; infinity for no limit.
        measure: Returns how fast training is.
        observer: Told if the schedule is shortened.
    """
    if not run.has(SCHEDULE):
        preset, epochs = settings.preset, settings.preset.epochs
        if allowed_s < float("inf"):
            before = time.monotonic()
            pace = measure()
            left_s = allowed_s - (time.monotonic() - before)
            epochs = min(epochs, pace.epochs_within(SAFE_SHARE * left_s))
            if epochs < preset.epochs:
                observer.note(
                    f"the schedule of {preset.epochs} epochs is shortened to {epochs}, which fit into the time "
                    f"allowed: an epoch of the whole network takes {pace.epoch_s:.2g} s here"
                )
        run.write_json(SCHEDULE, {"epochs": epochs})
    epochs = run.read_json(SCHEDULE, {"epochs": int})["epochs"]
    if epochs == settings.preset.epochs:
        return settings
    return dataclasses.replace(settings, preset=settings.preset.stretched(epochs))
