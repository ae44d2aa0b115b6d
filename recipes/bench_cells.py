"""Measures the search for cells on CIFAR-10: by evidence, by gradient and by chance, in one space.

    python recipes/bench_cells.py [--only NAME] [--quick] [--json]

CIFAR-10 comes from TensorFlow Datasets. Searches and trainings see 10 000 training images; accuracies are those of the
last epoch on the test split, which chooses nothing. A found cell is compared with random cells of its parameter count,
seed by seed. Its network is then grown and pruned beside one of residual cells.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _bench import Figure, cifar10, figure, main, own_peak_memory

if TYPE_CHECKING:
    from kgrow.architecture import Architecture
    from kgrow.cells import CellArchitecture, CellSearchSettings
    from kgrow.searching import SearchSpace

REDUCTIONS = (
    "640 training and 1000 test images of half the side, two cells of 4 filters, one loop, two epochs, one random "
    "cell, one seed (the figures then say only that everything runs)"
)


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is run."""

    num_images: int = 10_000
    num_test_images: int = 10_000
    pixel_step: int = 1
    cells: str = "NRNRN"
    filters: int = 8
    num_nodes: int = 3
    price: float = 0.03
    max_gates: int = 8  # of 63 in each cell, of which the gradient leaves six, and of 15 in each tree
    num_loops: int = 4
    num_epochs: int = 12
    num_draws: int = 3
    num_seeds: int = 3
    blocks: tuple[int, ...] = (1, 1, 1)
    grown_epochs: int = 20
    keep_ratio: float = 0.5


FULL = Scale()
QUICK = Scale(
    640, 1000, 2, "NR", 4, 2, num_loops=1, num_epochs=2, num_draws=1, num_seeds=1, blocks=(1, 1), grown_epochs=3
)


def cells(quick: bool) -> Iterator[Figure]:
    """Normal and reduction cells, found in the stack in which they are used."""
    from kgrow.cells import (
        CellArchitecture,
        CellSearch,
        GradientSearch,
        GradientSearchSettings,
        ProxySpace,
        Stack,
        random_genotype,
    )

    scale = QUICK if quick else FULL
    task = _task(scale)
    stack = Stack(task.input_shape, task.num_classes, _scaling(task), scale.cells, scale.filters)
    command = "python recipes/bench_cells.py --only cells"

    space = ProxySpace(stack, scale.num_nodes)
    record = CellSearch(space, task, _settings(scale)).run()
    found = CellArchitecture(stack, space.genotype())
    print(json.dumps(found.to_json()), record, file=sys.stderr, flush=True)
    yield figure("cells_search_memory", own_peak_memory(), "MiB at most, data and TensorFlow included", "", command)
    started = time.monotonic()
    found_accuracies = [_accuracy(found, task, scale, 0)]
    training_seconds = time.monotonic() - started
    found_accuracies += [_accuracy(found, task, scale, seed) for seed in range(1, scale.num_seeds)]
    yield from _described("cells_bayes", found_accuracies, found, record.seconds, command)
    yield figure("cells_minutes", (record.seconds + training_seconds) / 60, "min to search and train", "<= 40", command)

    by_gradient = GradientSearch(stack, scale.num_nodes, task, GradientSearchSettings(len(record.losses)))
    genotype, gradient_record = by_gradient.run()
    derived = CellArchitecture(stack, genotype)
    accuracies = [_accuracy(derived, task, scale, seed) for seed in range(scale.num_seeds)]
    yield from _described("cells_gradient", accuracies, derived, gradient_record.seconds, command)

    draws = [random_genotype(stack, scale.num_nodes, found.params(), seed) for seed in range(scale.num_draws)]
    drawn = [CellArchitecture(stack, genotype) for genotype in draws]
    chances = [[_accuracy(one, task, scale, seed) for seed in range(scale.num_seeds)] for one in drawn]
    means = [statistics.mean(row) for row in chances]
    yield figure("cells_random_accuracy", statistics.mean(means), "%", "", command)
    yield figure("cells_random_accuracy_std", statistics.pstdev(means), "% over cells", "", command)
    yield figure("cells_random_params", statistics.mean(one.params() for one in drawn), "parameters", "", command)
    yield figure("cells_random_macs", statistics.mean(one.macs() for one in drawn) / 1e6, "million MACs", "", command)
    gains = [[ours - theirs for ours, theirs in zip(found_accuracies, row, strict=True)] for row in chances]
    yield from _gain(gains, command)


def _described(
    name: str, accuracies: list[float], architecture: CellArchitecture, seconds: float, command: str
) -> Iterator[Figure]:
    yield figure(f"{name}_accuracy", statistics.mean(accuracies), "%", "", command)
    yield figure(f"{name}_accuracy_std", statistics.pstdev(accuracies), "% over seeds", "", command)
    yield figure(f"{name}_params", architecture.params(), "parameters", "", command)
    yield figure(f"{name}_macs", architecture.macs() / 1e6, "million MACs", "", command)
    yield figure(f"{name}_seconds", seconds, "s of search", "", command)


def _gain(gains: list[list[float]], command: str) -> Iterator[Figure]:
    """Says whether the found cell is better than chance by more than two standard errors.

    Differences of one random cell have that cell in common, those of one seed the found network: both vary by chance,
    and their variances add up.

    Args:
        gains: Points, per random cell one for every seed.
        command: That measures them.
    """
    by_cell, by_seed = ([statistics.mean(row) for row in rows] for rows in (gains, zip(*gains, strict=True)))
    mean = statistics.mean(by_cell)
    yield figure("cells_gain", mean, "points over random cells, paired", "", command)
    if len(by_cell) == 1 or len(by_seed) == 1:
        print("One pair does not tell whether the found cell beats a random one.", file=sys.stderr)
        return
    error = sum(statistics.variance(means) / len(means) for means in (by_cell, by_seed)) ** 0.5
    verdict = "beats" if mean > 2 * error else "does not beat"
    print(f"The found cell {verdict} random cells of its size.", file=sys.stderr, flush=True)
    yield figure("cells_gain_lower", mean - 2 * error, "points, less two standard errors", ">= 0", command)


def trees(quick: bool) -> Iterator[Figure]:
    """Tree cells, each searched at its place, beside the whole trees."""
    from kgrow.cells import CellSearch, TreeGenotype, TreeSpace, TreeStack, tree_network

    scale = QUICK if quick else FULL
    task = _task(scale)
    stack = TreeStack(task.input_shape, task.num_classes, _scaling(task), scale.blocks)
    command = "python recipes/bench_cells.py --only trees"
    space = TreeSpace(stack)
    record = CellSearch(space, task, _settings(scale)).run()
    print(json.dumps(space.genotype().to_json()), record, file=sys.stderr, flush=True)
    yield figure("trees_seconds", record.seconds, "s of search", "", command)
    whole = TreeGenotype.complete(sum(scale.blocks))
    for name, genotype in (("trees_bayes", space.genotype()), ("trees_whole", whole)):
        networks = [tree_network(genotype, stack, seed) for seed in range(scale.num_seeds)]
        accuracies = [_trained(network, task, scale, seed) for seed, network in enumerate(networks)]
        yield figure(f"{name}_accuracy", statistics.mean(accuracies), "%", "", command)
        yield figure(f"{name}_accuracy_std", statistics.pstdev(accuracies), "% over seeds", "", command)
        yield figure(f"{name}_params", networks[0].count_params(), "parameters", "", command)
        yield figure(f"{name}_edges", sum(map(len, genotype.cells)), "edges", "", command)


def grown(quick: bool) -> Iterator[Figure]:
    """Networks of the found cell and of residual cells of as many multiply-accumulates, grown and pruned alike."""
    from kgrow.searching import SPACES

    scale = QUICK if quick else FULL
    task = _task(scale)
    command = "python recipes/bench_cells.py --only grown"
    cells = _built(SPACES["cells"], task, 1.0)
    sizes = [_built(SPACES["compact"], task, width) for width in SPACES["compact"].widths]
    residual = min(sizes, key=lambda architecture: abs(architecture.macs() - cells.macs()))
    accuracies: dict[str, list[float]] = {}
    for name, architecture in (("cells", cells), ("residual", residual)):
        started = time.monotonic()
        accuracies[name] = [_grown_accuracy(architecture, task, scale, seed) for seed in range(scale.num_seeds)]
        seconds = (time.monotonic() - started) / scale.num_seeds
        yield figure(f"grown_{name}_accuracy", statistics.mean(accuracies[name]), "%", "", command)
        yield figure(f"grown_{name}_accuracy_std", statistics.pstdev(accuracies[name]), "% over seeds", "", command)
        yield figure(f"grown_{name}_params", architecture.kernel_params(), "connections before pruning", "", command)
        yield figure(f"grown_{name}_macs", architecture.macs() / 1e6, "million MACs", "", command)
        yield figure(f"grown_{name}_seconds", seconds, "s per training", "", command)
    gains = [ours - theirs for ours, theirs in zip(*accuracies.values(), strict=True)]
    yield figure("grown_gain", statistics.mean(gains), "points of cells over residual cells, paired", "", command)


def _built(space: SearchSpace, task: Any, width: float) -> Architecture:
    return space.build(task.input_shape, task.num_classes, _scaling(task), width=width)


def _grown_accuracy(architecture: Architecture, task: Any, scale: Scale, seed: int) -> float:
    from kgrow.lifecycle import LAST, PRESETS, Lifecycle, Observer, Settings, Snapshot
    from kgrow.pruning import Magnitude
    from kgrow.run import Run
    from kgrow.task import Augmentation

    preset = PRESETS["default"].stretched(scale.grown_epochs)
    settings = Settings(preset, Magnitude(), augmentation=Augmentation.suited_to(task), seed=seed)
    ratios = (scale.keep_ratio,) * len(architecture.blocks)
    with tempfile.TemporaryDirectory() as folder, Run.open(Path(folder) / "run", {}) as run:
        Lifecycle(task, architecture, ratios, settings, run, Observer()).train()
        network = Snapshot.load(run, LAST).network()
    answers = network.logits(task.test.images)[-1].argmax(axis=-1)
    accuracy = 100 * float((answers == task.test.labels).mean())
    print(f"seed {seed}: {network.kept_params()} connections, {accuracy:.2f} %", file=sys.stderr, flush=True)
    return accuracy


def _settings(scale: Scale) -> CellSearchSettings:
    from kgrow.cells import CellSearchSettings

    return CellSearchSettings(scale.price, num_loops=scale.num_loops, max_gates=scale.max_gates)


def _accuracy(architecture: CellArchitecture, task: Any, scale: Scale, seed: int) -> float:
    from kgrow.cells import cell_network

    return _trained(cell_network(architecture, seed), task, scale, seed)


def _trained(network: Any, task: Any, scale: Scale, seed: int) -> float:
    from kgrow.cells import correct_answers, train_cells

    train_cells(network, task, num_epochs=scale.num_epochs, seed=seed)
    accuracy = 100 * float(correct_answers(network, task.test).mean())
    print(f"seed {seed}: {network.count_params()} parameters, {accuracy:.2f} %", file=sys.stderr, flush=True)
    return accuracy


def _task(scale: Scale) -> Any:
    import numpy as np

    from kgrow.task import Split

    task = cifar10(scale.num_images, scale.num_test_images)

    def coarser(split: Split) -> Split:
        pixels = split.images[:, :: scale.pixel_step, :: scale.pixel_step]
        return Split(np.ascontiguousarray(pixels), split.labels)

    splits = {name: coarser(getattr(task, name)) for name in ("train", "validation", "test")}
    return dataclasses.replace(task, **splits)


def _scaling(task: Any) -> Any:
    from kgrow.architecture import Scaling

    return Scaling(task.pixel_mean, task.pixel_std)


if __name__ == "__main__":
    sys.exit(main(__doc__.partition("\n")[0], {"cells": cells, "trees": trees, "grown": grown}, REDUCTIONS))
