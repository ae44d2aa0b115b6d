"""Measures structural compression by evidence: LeNet-300-100 and LeNet-5 on MNIST.

    python recipes/bench_bayes.py [--only NAME] [--quick] [--json]

MNIST comes from TensorFlow Datasets. Errors are those of the last epoch on the test split, which chooses nothing: mean
and standard deviation over three seeds. Operations are counted twice, as published tables do and as they are executed.
The goals are those of Zhou, Yang, Wang and Pan, "BayesNAS", ICML 2019, appendix A.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from _bench import Figure, figure, main

REDUCTIONS = "one seed, two loops of one epoch, 12 800 images (the goals are then out of reach)"
NUM_LOOPS, EPOCHS_PER_LOOP, RECOVERY_EPOCHS = 10, 10, 20
QUICK_IMAGES = 12_800
DENSE, CONVOLUTION = ("element", "in_neuron", "out_neuron"), ("shape", "filter")
PRICE = 1 / 54_000  # nats per image: one over the number of training images takes the prior at its word


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one run ends with."""

    error_percent: float
    published_mflops: float
    executed_mflops: float
    widths: list[int]


def lenet_300_100(quick: bool) -> Iterator[Figure]:
    """784-300-100-10."""
    from kgrow.bayes import Chain

    def fresh(seed: int) -> Chain:
        return Chain.fresh((28, 28, 1), [], [300, 100, 10], seed)

    yield from _measured("lenet_300_100", fresh, (DENSE,) * 3, ("<= 1.54", "<= 0.04"), quick)


def lenet_5(quick: bool) -> Iterator[Figure]:
    """Convolutions of 20 and 50 filters, 500 units."""
    from kgrow.bayes import Chain

    def fresh(seed: int) -> Chain:
        return Chain.fresh((28, 28, 1), [(20, 5, 2), (50, 5, 2)], [500, 10], seed)

    categories = (CONVOLUTION, CONVOLUTION, DENSE, DENSE)
    yield from _measured("lenet_5", fresh, categories, ("<= 1.00", "<= 0.57"), quick)


def _measured(
    name: str,
    fresh: Callable[[int], Any],
    categories: tuple[tuple[str, ...], ...],
    goals: tuple[str, str],
    quick: bool,
) -> Iterator[Figure]:
    started = time.monotonic()
    outcomes = [_compressed(fresh, categories, seed, quick) for seed in range(1 if quick else 3)]
    command = f"python recipes/bench_bayes.py --only {name}"
    errors = [outcome.error_percent for outcome in outcomes]
    yield figure(f"{name}_error", statistics.mean(errors), "%", goals[0], command)
    yield figure(f"{name}_error_std", statistics.pstdev(errors), "% over seeds", "", command)
    published = statistics.mean(outcome.published_mflops for outcome in outcomes)
    yield figure(f"{name}_published_mflops", published, "MFLOPs as published", goals[1], command)
    executed = statistics.mean(outcome.executed_mflops for outcome in outcomes)
    yield figure(f"{name}_executed_mflops", executed, "MFLOPs as executed", "", command)
    yield figure(f"{name}_seconds", (time.monotonic() - started) / len(outcomes), "s per seed", "", command)


def _compressed(
    fresh: Callable[[int], Any], categories: tuple[tuple[str, ...], ...], seed: int, quick: bool
) -> Outcome:
    from kgrow.bayes import (
        Compression,
        CompressionSettings,
        MonteCarloFisher,
        error_rate,
        executed_flops,
        published_flops,
    )

    (images, labels), test = _mnist(QUICK_IMAGES if quick else None)
    settings = CompressionSettings(categories, (PRICE,) * len(categories), curvature=MonteCarloFisher(seed=seed))
    chain = fresh(seed)
    work = Compression(chain, settings, seed)
    for loop in range(2 if quick else NUM_LOOPS):
        for _ in range(1 if quick else EPOCHS_PER_LOOP):
            loss = work.train(images, labels)
        work.update(images, labels)
        print(
            f"seed {seed}, loop {loop}: loss {loss:.4f}, {chain.narrowed(work.masks).widths()}",
            file=sys.stderr,
            flush=True,
        )
    epochs = 1 if quick else RECOVERY_EPOCHS
    for epoch in range(epochs):
        work.set_learning_rate(settings.learning_rate * (1 - epoch / epochs))
        work.train(images, labels, penalised=False)
    small = chain.narrowed(work.masks)
    outcome = Outcome(
        100 * error_rate(small, *test),
        published_flops(small.sizes()) / 1e6,
        executed_flops(small.sizes()) / 1e6,
        small.widths(),
    )
    print(f"seed {seed}: {outcome}", file=sys.stderr, flush=True)
    return outcome


def _mnist(num_images: int | None) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    from kgrow.task import Task

    task = Task.of("mnist")
    train, test = task.train, task.test
    mean, std = train.images.mean(), train.images.std()

    def scaled(split: Any, count: int | None) -> tuple[np.ndarray, np.ndarray]:
        return ((split.images[:count] - mean) / std).astype(np.float32), split.labels[:count].astype(np.int32)

    return scaled(train, num_images), scaled(test, None)


if __name__ == "__main__":
    sys.exit(main(__doc__.partition("\n")[0], {"lenet_300_100": lenet_300_100, "lenet_5": lenet_5}, REDUCTIONS))
