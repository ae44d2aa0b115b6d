"""Latency limits, checked before training: the latency of a file does not depend on the values of its weights."""

from __future__ import annotations

from collections.abc import Callable

from kgrow.graph import Architecture
from kgrow.run import Run
from kgrow.searching.limits import LimitError
from kgrow.searching.proposals import Proposals
from kgrow.training import Observer

# File in the run directory: a resumed run uses the first measurement.
LATENCY = "latency.json"
# Fraction of the limit below which a network is tried: the file of the trained one is measured again.
SHARE = 0.95

Measure = Callable[[Architecture], float]


def measured(proposals: Proposals, run: Run, measure: Measure, observer: Observer) -> Proposals:
    """Returns the proposals whose networks satisfy the latency limit; all of them without such a limit.

    Only a few networks are measured: one with fewer multiply-accumulates than a fast one is assumed to be fast too.

    Args:
        proposals: Proposals that satisfy the other limits.
        run: Run that stores the number of networks that are too slow.
        measure: Function that returns the median latency of an image in milliseconds.
        observer: Observer that is notified of the measurements.

    Raises:
        LimitError: If all are too slow; the message says by how much.
    """
    if proposals.limits.latency_ms is None:
        return proposals
    if not run.has(LATENCY):
        run.write_json(LATENCY, {"num_too_slow": _num_too_slow(proposals, measure, observer)})
    return proposals.without_dearest(run.read_json(LATENCY, {"num_too_slow": int})["num_too_slow"])


def _num_too_slow(proposals: Proposals, measure: Measure, observer: Observer) -> int:
    limit = proposals.limits.given.get("latency_ms", 0.0)
    names, architectures = list(proposals.variants), [architecture for architecture, _ in proposals.variants.values()]
    found: dict[int, float] = {}

    def is_quick(index: int) -> bool:
        found[index] = measure(architectures[index])
        depth, width = names[index]
        observer.note(f"before any training, {depth} blocks of width {width:g} take {found[index]:.3g} ms per image")
        return found[index] <= SHARE * limit

    first, last = 0, len(names)
    while first < last:
        middle = (first + last) // 2 if found else 0  # a limit is often loose: the most expensive comes first
        first, last = (first, middle) if is_quick(middle) else (middle + 1, last)
    if first == len(names):
        raise LimitError(
            f"`limits` must allow a candidate of the space, but the quickest one breaks latency_ms "
            f"{found[first - 1]:.6g} > {limit:g} on this machine, or nearly so. Loosen it, or choose smaller images or "
            "another space."
        )
    return first
