"""The Pareto front: the points that no other beats in accuracy at the same or a lower cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COSTS = ("kept_params", "macs", "flash_bytes", "ram_bytes")


def pareto_front(points: Sequence[Mapping[str, Any]], costs: Sequence[str] = COSTS) -> list[int]:
    """Returns the indices of the points that no other dominates, the most accurate first.

    A point dominates another if it is at least as accurate, costs no more in any respect, and is better in at least
    one. Among equal points the first one counts.

    Args:
        points: Points with `mean_val_accuracy` and the costs by name; a point without an accuracy is left out.
        costs: Names of the figures that are better when lower.
    """
    known = [index for index, point in enumerate(points) if point["mean_val_accuracy"] is not None]
    values = {index: (-points[index]["mean_val_accuracy"], *(points[index][name] for name in costs)) for index in known}

    def is_beaten(index: int) -> bool:
        mine = values[index]
        return any(
            all(a <= b for a, b in zip(theirs, mine, strict=True)) and (theirs != mine or other < index)
            for other, theirs in values.items()
            if other != index
        )

    return sorted((index for index in known if not is_beaten(index)), key=lambda index: values[index])
