"""Measures what a limited time is worth.

    python recipes/bench_time.py [--only NAME] [--quick] [--json]

The data come from TensorFlow Datasets. Accuracies are those of the int8 file on the test split, which chooses nothing.
The budgets compare wall clocks: run it on a machine that does nothing else.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence

from _bench import Figure, figure, main, one_core, search

REDUCTIONS = "500 training images, 40 seconds, two budgets"
FEW, FEW_S = 500, 40


def cifar10(quick: bool) -> Iterator[Figure]:
    """A file of at most 48 KB in 17 minutes of one core, from 10 000 images of CIFAR-10."""
    with one_core():
        yield from _within("cifar10", ["cifar10", "--limit", "flash=48KB"], 1020, ">= 0.76", 10_000, quick)


def mnist(quick: bool) -> Iterator[Figure]:
    """A file for 16 KB of flash and 24 KB of RAM in five minutes, from all of MNIST."""
    arguments = ["mnist", "--limit", "flash=16KB", "--limit", "ram=24KB"]
    yield from _within("mnist", arguments, 285, ">= 0.993", None, quick)


def budgets(quick: bool) -> Iterator[Figure]:
    """Whether more time is worth more: 10 000 images of CIFAR-10, 48 KB, three seeds."""
    seconds = (FEW_S, 60) if quick else (60, 180, 600, 1800)
    seeds, images = (1, FEW) if quick else (3, 10_000)
    means = []
    for budget in seconds:
        found = []
        for seed in range(seeds):
            arguments = ["cifar10", "--limit", "flash=48KB", "--max-time", f"{budget}s", "--seed", str(seed)]
            result, _, _ = search(arguments, images)
            found.append(result["best"]["artefacts"][0]["test_accuracy"])
        means.append(sum(found) / seeds)
        command = f"kgrow search cifar10 --limit flash=48KB --max-time {budget}s --seed 0..{seeds - 1}"
        yield figure(f"budgets_{budget}s", means[-1], "mean test accuracy", "", command)
    rises = min(later - earlier for earlier, later in itertools.pairwise(means))
    yield figure("budgets_least_rise", rises, "of the accuracy", ">= 0", command)


def _within(
    name: str, arguments: Sequence[str], max_s: int, goal: str, num_images: int | None, quick: bool
) -> Iterator[Figure]:
    allowed_s = FEW_S if quick else max_s
    result, seconds, command = search(
        [*arguments, "--max-time", f"{allowed_s}s"], FEW if quick and name == "cifar10" else num_images
    )
    artefact = result["best"]["artefacts"][0]
    yield figure(f"{name}_accuracy", artefact["test_accuracy"], "", goal, command)
    yield figure(f"{name}_bytes", artefact["bytes"], "bytes", "", command)
    yield figure(f"{name}_ram", artefact["ram_bytes"], "bytes", "", command)
    yield figure(f"{name}_seconds", seconds, "s", f"<= {1.05 * allowed_s + 10:.0f}", command)
    yield figure(f"{name}_unused", 1 - seconds / allowed_s, "of the time", "", command)


if __name__ == "__main__":
    measures = {"cifar10": cifar10, "mnist": mnist}
    sys.exit(main(__doc__.partition("\n")[0], measures, REDUCTIONS, {"budgets": budgets}))
