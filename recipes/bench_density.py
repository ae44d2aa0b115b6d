"""Measures the density search: MNIST with 60 000 connections, and whether it matters which of them exist.

    python recipes/bench_density.py [--only NAME] [--quick] [--json]

MNIST comes from TensorFlow Datasets, which looks where TFDS_DATA_DIR says. The claim: which connections exist matters
little, how many matters. It is put to the test by networks of one number of connections, a narrow full one and wider
ones with random connections, and by one width with half, twice and four times as many. Goals of the claim are shares
of the effect of "how many"; differences that are smaller than the spread over seeds say nothing. Accuracies are those
on the test split, in percent, effects in percentage points.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _bench import Figure, figure, main

REDUCTIONS = "3 trials of 2 epochs; one wider network, 2 masks, 2 seeds, 1 epoch (the goals then mean nothing)"
GOAL_ACCURACY, MAX_PARAMS = 0.9786, 60_000
FULL_WIDTH = 32  # two hidden layers of 32 units: 26 432 connections
LARGEST_SHARE = 0.25
BATCH_SIZE, LEARNING_RATE = 256, 5e-3


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What the claim is tested on.

    Args:
        wider: Widths with as many connections as the full network.
        width: At which the number of connections is varied.
        factors: Connections there, in units of those of the full network.
        masks: Number of mask seeds.
        seeds: Number of seeds of weights and order.
        epochs: Of each training.
    """

    wider: tuple[int, ...] = (64, 128, 256)
    width: int = 128
    factors: tuple[float, ...] = (0.5, 1, 2, 4)
    masks: int = 3
    seeds: int = 3
    epochs: int = 6


def mnist(quick: bool) -> Iterator[Figure]:
    """Random, then Bayesian search over depth, width and densities; the best network as a file."""
    from kgrow.density import Training, search_density

    started = time.monotonic()
    training = Training(2 if quick else 10, BATCH_SIZE, LEARNING_RATE)
    command = "python recipes/bench_density.py --only mnist"
    with tempfile.TemporaryDirectory() as folder:
        found = search_density(
            "mnist",
            max_depth=3,
            max_width=256,
            max_params=MAX_PARAMS,
            trials=3 if quick else 12,
            training=training,
            directory=Path(folder) / "run",
            verbose=2,
        )
        best = found.document["best"]
        yield figure("mnist_accuracy", best["test_accuracy"], "one search", f">= {GOAL_ACCURACY}", command)
        yield figure("mnist_loss", best["test_loss"], "nats per image", "", command)
        yield figure("mnist_connections", best["active_params"], "connections", f"<= {MAX_PARAMS}", command)
        yield figure("mnist_hidden_layers", len(best["sizes"]) - 2, "hidden layers", "", command)
        yield figure("mnist_width", best["sizes"][1], "units", "", command)
        artefact = found.export(Path(folder) / "model.tflite")
        yield figure("mnist_file_accuracy", artefact.test_accuracy, "measured on the file", "", command)
        yield figure("mnist_file", artefact.bytes, "bytes, zeros included", "", command)
    yield figure("mnist_seconds", time.monotonic() - started, "s", "", command)


def claim(quick: bool) -> Iterator[Figure]:
    """Same capacity, sparse against full, and one width with more and fewer connections."""
    started = time.monotonic()
    plan = Comparison((64,), 64, (0.5, 1), masks=2, seeds=2, epochs=1) if quick else Comparison()
    command = "python recipes/bench_density.py --only claim"
    full = accuracies(FULL_WIDTH, 1, 1, plan)[0]
    yield from described(f"claim_full_{FULL_WIDTH}", full, command)
    wider = {width: accuracies(width, 1, plan.masks, plan) for width in plan.wider}
    for width, found in wider.items():
        yield from described(f"claim_sparse_{width}", found, command)
        yield figure(f"claim_sparse_{width}_minus_full", _difference(found, full), "points", "", command)
    varied = {factor: accuracies(plan.width, factor, 1, plan) for factor in plan.factors}
    for factor, found in varied.items():
        yield figure(
            f"claim_{factor:g}_times_connections", float(found.mean()), f"% at width {plan.width}", "", command
        )
    how_many = _difference(varied[plan.factors[-1]], varied[plan.factors[0]])
    yield figure("claim_how_many", how_many, "points, fewest to most connections", "", command)
    yield from _verdict(full, list(wider.values()), how_many, command)
    yield figure("claim_seconds", time.monotonic() - started, "s", "", command)


def _verdict(full: np.ndarray, wider: list[np.ndarray], how_many: float, command: str) -> Iterator[Figure]:
    """Yields the effects of masks and of width; a part of the seeds' is in both, so they are rather too large."""
    which = statistics.mean(float(found.mean(axis=1).std(ddof=1)) for found in wider)
    noise = statistics.mean(float(found.std(axis=1, ddof=1).mean()) for found in wider)
    yield figure("claim_which", which, "points, std over masks of the mean over seeds", "", command)
    yield figure("claim_seeds", noise, "points, std over seeds of one mask", "", command)
    goal = f"<= {LARGEST_SHARE}"
    yield figure("claim_which_share", which / how_many, "of how many", goal, command)
    difference = max(abs(_difference(found, full)) for found in wider)
    yield figure("claim_width_share", difference / how_many, "of how many, the largest difference", goal, command)


def _difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(first.mean() - second.mean())


def described(name: str, found: np.ndarray, command: str) -> Iterator[Figure]:
    """Yields mean and standard deviation over all trainings."""
    yield figure(name, float(found.mean()), f"%, mean of {found.size}", "", command)
    yield figure(f"{name}_std", float(found.std(ddof=1)), "points, std", "", command)


def accuracies(width: int, factor: float, masks: int, plan: Comparison) -> np.ndarray:
    """Trains networks of some width whose layers have a factor of the full network's connections.

    Returns:
        Test accuracies in percent, (masks, seeds), or (seeds,) for a full network.
    """
    from kgrow.density import Layout

    full = Layout((784, FULL_WIDTH, FULL_WIDTH, 10), (1.0,) * 3)
    sizes = (784, width, width, 10)
    possible = [inputs * outputs for inputs, outputs in Layout(sizes, (1.0,) * 3).shapes]
    layout = Layout(sizes, tuple(factor * count / size for count, size in zip(full.connections, possible, strict=True)))
    return np.array(
        [[accuracy(layout, plan.epochs, mask, seed) for seed in range(plan.seeds)] for mask in range(masks)]
    )


@functools.cache
def accuracy(layout: object, epochs: int, mask_seed: int, seed: int) -> float:
    """Trains one network and returns its test accuracy in percent."""
    from kgrow.density import Training, density_network, train
    from kgrow.graph import Scaling

    task = _mnist()
    scaling = Scaling(task.pixel_mean, task.pixel_std)
    network = density_network(layout, task.input_shape, scaling, seed=seed, mask_seed=mask_seed)
    train(network, task.train, Training(epochs, BATCH_SIZE, LEARNING_RATE), seed)
    found = 100 * float(np.mean(network.logits(task.test.images)[0].argmax(axis=-1) == task.test.labels))
    print(f"{layout}, mask {mask_seed}, seed {seed}: {found:.2f} %", file=sys.stderr, flush=True)
    return found


@functools.cache
def _mnist() -> object:
    from kgrow.task import Task

    return Task.of("mnist")


if __name__ == "__main__":
    sys.exit(main(__doc__.partition("\n")[0], {"mnist": mnist, "claim": claim}, REDUCTIONS))
