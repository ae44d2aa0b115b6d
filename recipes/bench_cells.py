"""Measures the search for cells on CIFAR-10: by evidence, by gradient and by chance, in one space.

    python recipes/bench_cells.py [--only NAME] [--quick] [--json]

CIFAR-10 comes from TensorFlow Datasets. Searches and trainings see 10 000 training images; accuracies are those of the
last epoch on the test split, which chooses nothing. The cell of each search is compared with a random cell of its
parameter count. The network of the space `cells` is grown and pruned beside one of residual cells.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _bench import Figure, cifar10, figure, main, own_peak_memory

if TYPE_CHECKING:
    from kgrow.cells import CellSearchSettings, Stack
    from kgrow.graph import Architecture
    from kgrow.graph.genotype import Genotype
    from kgrow.searching import SearchSpace

REDUCTIONS = (
    "256 training and 200 test images of half the side, two cells of 4 filters, one loop, two epochs, one random "
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
    num_searches: int = 3
    num_seeds: int = 3
    blocks: tuple[int, ...] = (1, 1, 1)
    grown_epochs: int = 20
    keep_ratio: float = 0.5


FULL = Scale()
QUICK = Scale(
    256, 200, 2, "NR", 4, 2, num_loops=1, num_epochs=2, num_searches=1, num_seeds=1, blocks=(1, 1), grown_epochs=3
)


def cells(quick: bool) -> Iterator[Figure]:
    """Normal and reduction cells, found in the stack in which they are used, by searches of several seeds.

    The cell of each search is trained once, and beside it, from the same seed, a random cell of its size. The gradient
    finds one cell, to compare with.
    """
    scale = QUICK if quick else FULL
    command = "python recipes/bench_cells.py --only cells"
    task = _task(scale)
    found: dict[str, list[Found]] = {"evidence": [], "random": [], "gradient": []}
    for seed in range(scale.num_searches):
        searched = _by_evidence(scale, task, seed)
        if seed == 0:
            yield figure("cells_search_memory", own_peak_memory(), "MiB at most, TensorFlow included", "", command)
            yield figure("cells_minutes", searched.seconds / 60, "min to search and train", "<= 40", command)
        found["evidence"].append(searched)
        found["random"].append(_by_chance(scale, task, seed, searched.architecture.params()))
    found["gradient"].append(_by_gradient(scale, task, 0))
    for method, cells in found.items():
        yield from _described(f"cells_{method}", cells, command)
    pairs = zip(found["evidence"], found["random"], strict=True)
    yield from _gain([ours.accuracy - theirs.accuracy for ours, theirs in pairs], command)


@dataclasses.dataclass(frozen=True)
class Found:
    """A cell in its network.

    Args:
        architecture: The network.
        genotype: Edges of its cells.
        accuracy: Test accuracy after training, in %.
        seconds: Time of search and training.
    """

    architecture: Architecture
    genotype: Genotype
    accuracy: float
    seconds: float


def _by_evidence(scale: Scale, task: Any, seed: int) -> Found:
    from kgrow.cells import CellSearch, ProxySpace

    def find(stack: Stack) -> Genotype:
        space = ProxySpace(stack, scale.num_nodes, seed)
        CellSearch(space, task, _settings(scale), seed).run()
        return space.genotype()

    return _found(find, task, scale, seed)


def _by_gradient(scale: Scale, task: Any, seed: int) -> Found:
    from kgrow.cells import GradientSearch, GradientSearchSettings

    settings = GradientSearchSettings(_settings(scale).num_epochs)
    return _found(
        lambda stack: GradientSearch(stack, scale.num_nodes, task, settings, seed).run()[0], task, scale, seed
    )


def _by_chance(scale: Scale, task: Any, seed: int, num_params: int) -> Found:
    from kgrow.cells import random_genotype

    return _found(lambda stack: random_genotype(stack, scale.num_nodes, num_params, seed), task, scale, seed)


def _found(find: Callable[[Stack], Genotype], task: Any, scale: Scale, seed: int) -> Found:
    from kgrow.cells import CellNetwork, Stack

    started = time.monotonic()
    stack = Stack(task.input_shape, task.num_classes, _scaling(task), scale.cells, scale.filters)
    genotype = find(stack)
    print(json.dumps(genotype.to_json()), file=sys.stderr, flush=True)
    accuracy = _trained(CellNetwork(stack, genotype, seed), task, scale, seed)
    return Found(stack.architecture(genotype), genotype, accuracy, time.monotonic() - started)


def _described(name: str, found: list[Found], command: str) -> Iterator[Figure]:
    accuracies = [one.accuracy for one in found]
    yield figure(f"{name}_accuracy", statistics.mean(accuracies), "%, mean over searches", "", command)
    yield figure(f"{name}_accuracy_std", statistics.pstdev(accuracies), "% over searches", "", command)
    for unit, sizes in (
        ("parameters", [one.architecture.params() for one in found]),
        ("million MACs", [one.architecture.macs() / 1e6 for one in found]),
    ):
        yield figure(f"{name}_{unit.split()[-1].lower()}", statistics.mean(sizes), f"{unit}, mean", "", command)
        yield figure(f"{name}_{unit.split()[-1].lower()}_std", statistics.pstdev(sizes), f"{unit}", "", command)
    yield figure(
        f"{name}_inner", _share_of_inner_edges(found), "% of edges that read a node of their cell", "", command
    )
    seconds = statistics.mean(one.seconds for one in found)
    yield figure(f"{name}_seconds", seconds, "s to search and train", "", command)


def _share_of_inner_edges(found: list[Found]) -> float:
    from kgrow.graph.edge import NUM_INPUTS

    genotypes = [one.genotype for one in found]
    edges = [edge for genotype in genotypes for edge in (*genotype.normal, *genotype.reduction)]
    return 100 * sum(edge.source >= NUM_INPUTS for edge in edges) / len(edges)


def _gain(gains: list[float], command: str) -> Iterator[Figure]:
    """Says whether searched cells are better than chance by more than two standard errors.

    Args:
        gains: Test accuracy of a searched cell less that of a random one of its size, in points, per search.
        command: That measures them.
    """
    mean = statistics.mean(gains)
    yield figure("cells_gain", mean, "points over random cells, paired", "", command)
    if len(gains) == 1:
        print("One search does not tell whether searched cells beat random ones.", file=sys.stderr)
        return
    error = statistics.stdev(gains) / len(gains) ** 0.5
    verdict = "beat" if mean > 2 * error else "do not beat"
    print(f"Searched cells {verdict} random cells of their size.", file=sys.stderr, flush=True)
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
    from kgrow.lifecycle import LAST, PRESETS, Lifecycle, Settings, Snapshot
    from kgrow.pruning import Magnitude
    from kgrow.run import Run
    from kgrow.task import Augmentation
    from kgrow.training import Observer

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


def _trained(network: Any, task: Any, scale: Scale, seed: int) -> float:
    from kgrow.cells import CellTraining, correct_answers

    CellTraining(network, task, scale.num_epochs, seed).go_on(0)
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
    from kgrow.graph import Scaling

    return Scaling(task.pixel_mean, task.pixel_std)


if __name__ == "__main__":
    sys.exit(main(__doc__.partition("\n")[0], {"cells": cells, "trees": trees, "grown": grown}, REDUCTIONS))
