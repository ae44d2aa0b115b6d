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
from collections.abc import Iterator
from typing import Any

import numpy as np
from _bench import Figure, figure, main

REDUCTIONS = "one seed, two loops of one epoch, 3 200 images (the goals are then out of reach)"
NUM_LOOPS, RECOVERY_EPOCHS, RECOVERY_RATE = 10, 100, 0.05
QUICK_IMAGES = 3_200
DENSE, CONVOLUTION = ("in_neuron", "out_neuron"), ("channel", "filter")
NAT = 1 / 54_000  # one nat over all training images: a price that takes the prior at its word


@dataclasses.dataclass(frozen=True)
class Plan:
    """A network and how it is compressed.

    Args:
        convolutions: Filters, side of the kernel and side of the pooling of each.
        dense: Outputs of each Dense layer.
        categories: See `CompressionSettings`.
        prices: See `CompressionSettings`; set after tries on validation images (experiment 0032).
        epochs_per_loop: Before switches are turned.
        recovery_l2: See `CompressionSettings.l2`; while the narrowed network recovers.
    """

    convolutions: tuple[tuple[int, int, int], ...]
    dense: tuple[int, ...]
    categories: tuple[tuple[str, ...], ...]
    prices: tuple[float, ...]
    epochs_per_loop: int
    recovery_l2: float


LENET_300_100 = Plan((), (300, 100, 10), (DENSE,) * 3, (0.57 * NAT, 1.15 * NAT, 1.15 * NAT), 10, 5e-4)
# A filter is computed at many positions: its weights cost more than those of a unit.
LENET_5 = Plan(
    ((20, 5, 2), (50, 5, 2)),
    (500, 10),
    (CONVOLUTION, CONVOLUTION, DENSE, DENSE),
    (10 * NAT, 2.5 * NAT, 0.35 * NAT, 0.35 * NAT),
    4,
    0.0,
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one run ends with."""

    error_percent: float
    published_mflops: float
    executed_mflops: float
    widths: list[int]


def lenet_300_100(quick: bool) -> Iterator[Figure]:
    """784-300-100-10."""
    yield from _measured("lenet_300_100", LENET_300_100, ("<= 1.54", "<= 0.04"), quick)


def lenet_5(quick: bool) -> Iterator[Figure]:
    """Convolutions of 20 and 50 filters, 500 units."""
    yield from _measured("lenet_5", LENET_5, ("<= 1.00", "<= 0.57"), quick)


def _measured(name: str, plan: Plan, goals: tuple[str, str], quick: bool) -> Iterator[Figure]:
    started = time.monotonic()
    outcomes = [_compressed(plan, seed, quick) for seed in range(1 if quick else 3)]
    command = f"python recipes/bench_bayes.py --only {name}"
    errors = [outcome.error_percent for outcome in outcomes]
    yield figure(f"{name}_error", statistics.mean(errors), "%", goals[0], command)
    yield figure(f"{name}_error_std", statistics.pstdev(errors), "% over seeds", "", command)
    published = statistics.mean(outcome.published_mflops for outcome in outcomes)
    yield figure(f"{name}_published_mflops", published, "MFLOPs as published", goals[1], command)
    executed = statistics.mean(outcome.executed_mflops for outcome in outcomes)
    yield figure(f"{name}_executed_mflops", executed, "MFLOPs as executed", "", command)
    yield figure(f"{name}_seconds", (time.monotonic() - started) / len(outcomes), "s per seed", "", command)


def _compressed(plan: Plan, seed: int, quick: bool) -> Outcome:
    from kgrow.bayes import Compression, CompressionLoop, CompressionSettings, MonteCarloFisher
    from kgrow.exporting.compact import compact
    from kgrow.graph import Scaling
    from kgrow.graph.chain import chain, glorot_normal
    from kgrow.network import GrowingNetwork
    from kgrow.pruning import CompressibleNetwork
    from kgrow.reporting.progress import display_for
    from kgrow.training import half_cosine

    (images, labels), test = _mnist(QUICK_IMAGES if quick else None)
    settings = CompressionSettings(plan.categories, plan.prices, curvature=MonteCarloFisher(seed=seed))
    network = GrowingNetwork(chain((28, 28, 1), plan.convolutions, plan.dense, Scaling((0.0,), (1.0,))))
    network.load_state({**network.state(), **glorot_normal(network.architecture, seed)})
    observer, per_loop = display_for(2), 1 if quick else plan.epochs_per_loop
    epochs = per_loop * (2 if quick else NUM_LOOPS)
    CompressionLoop(
        Compression(CompressibleNetwork(network), settings, seed),
        images,
        labels,
        epochs,
        epochs_per_loop=per_loop,
        prepare=lambda images, epoch: _shifted(images, seed, epoch),
        observer=observer,
    ).go_on(0)
    small = compact(network)
    plain = dataclasses.replace(settings, categories=((),) * len(plan.prices), l2=plan.recovery_l2)
    recovery_epochs = 1 if quick else RECOVERY_EPOCHS
    CompressionLoop(
        Compression(CompressibleNetwork(small), plain, seed),
        images,
        labels,
        recovery_epochs,
        recovery_epochs=recovery_epochs,
        rate=lambda epoch: RECOVERY_RATE * half_cosine(epoch / RECOVERY_EPOCHS),
        prepare=lambda images, epoch: _shifted(images, seed, epochs + epoch),
        observer=observer,
    ).go_on(0)
    outcome = _outcome(small, test)
    print(f"seed {seed}: {outcome}", file=sys.stderr, flush=True)
    return outcome


def _outcome(network: Any, test: tuple[np.ndarray, np.ndarray]) -> Outcome:
    from kgrow.bayes import executed_flops, layer_sizes, published_flops, widths
    from kgrow.graph.values import Weighted

    images, labels = test
    sizes = layer_sizes(Weighted.of(network.architecture, network.state()))
    error = float(np.mean(network.logits(images)[0].argmax(axis=-1) != labels))
    return Outcome(100 * error, published_flops(sizes) / 1e6, executed_flops(sizes) / 1e6, widths(sizes))


def _shifted(images: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Moves every image by at most a pixel each way; what moves in is black."""
    from kgrow._keras import tf
    from kgrow.task import Augmentation

    black = float(images.min())
    return Augmentation(shift=1).augment(tf.constant(images), tf.constant([seed, epoch]), black).numpy()


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
