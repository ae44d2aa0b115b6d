"""`better_start`: which start of networks is better for some data, by two short searches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from kgrow.config import Config
from kgrow.registry import SCRATCH
from kgrow.reporting.wording import percent
from kgrow.searching.limits import LimitError
from kgrow.starting import starts_at_hand
from kgrow.task import Task

# Fraction of the allowed time for each short search, and the seconds below which it would tell nothing.
SHARE, LEAST_S = 0.15, 30.0


def better_start(task: Task, config: Config, search: Callable[[str, Config], Any], note: Callable[[str], None]) -> str:
    """Returns `"scratch"` or the name of a published network: the start with more validation images answered correctly.

    Each start gets one candidate, which is trained to the end of its schedule in a share of the allowed time; without a
    limit of time the schedule is whole. In a share of less than half a minute a start from scratch learns next to
    nothing: the published network is taken.

    Args:
        task: Data of the search.
        config: Configuration of the search.
        search: Function that runs a search with a configuration in the directory of a name and returns its `Result`.
        note: Function called with what was found.

    Raises:
        LimitError: If neither has a network within the limits.
    """
    at_hand = starts_at_hand(task, note)
    if not at_hand:
        return SCRATCH
    allowed = config.tuning.max_time
    if allowed is not None and SHARE * float(allowed) < LEAST_S:
        note(f"networks start with {at_hand[0]}: there is no time to compare it with a start from scratch")
        return at_hand[0]
    found: dict[str, float] = {}
    for start in (at_hand[0], SCRATCH):
        try:
            document = search(start, _short(config, start)).document
        except LimitError as error:
            note(f"start {start!r}: {error}")
            if start == SCRATCH and not found:
                raise
            continue
        best = document["best"]["trial"]
        (found[start],) = (each["val_accuracy"] for each in document["candidates"] if each["trial"] == best)
    chosen = max(found, key=lambda start: found[start])
    told = ", ".join(f"{start} {percent(accuracy)} %" for start, accuracy in found.items())
    note(f"starts compared by the validation images, one short search each: {told}; networks start with {chosen}")
    return chosen


def _short(config: Config, start: str) -> Config:
    allowed = config.tuning.max_time
    tuning = dataclasses.replace(config.tuning, trials=1, max_time=None if allowed is None else SHARE * allowed)
    return dataclasses.replace(config, growth=dataclasses.replace(config.growth, start=start), tuning=tuning)
