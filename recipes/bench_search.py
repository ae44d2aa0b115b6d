"""Measures the search: what sharing and estimating save, what fits a small device, whether ratios per block pay.

    python recipes/bench_search.py [--only NAME] [--quick] [--json]

MNIST and CIFAR-10 come from TensorFlow Datasets, which looks where TFDS_DATA_DIR says. Accuracies are those on the test
split, which chooses nothing. Two cores, no GPU: `cifar10` trains for more than an hour, the others for minutes. How far
`estimators` agree with full training is measured only if it is named.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Figure, figure, main, peak_memory, search

if TYPE_CHECKING:
    import kgrow

REDUCTIONS = (
    "two or three trials of digits, one of MNIST in two epochs, CIFAR-10 with 256 images (goals are out of reach)"
)
RESAMPLES, CONFIDENCE = 10_000, 95
FIRST_TRIAL = "trials/0000"
# An estimator is useful if it ranks as full training does, at a lower price for many of the candidates.
ESTIMATOR_SEEDS, USEFUL_TAU, USEFUL_SHARE = 3, 0.5, 0.5
LIMIT_BYTES, RAM_BYTES, SECONDS = 16_000, 24_000, 900


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What ratios per block and uniform ones are compared on.

    Args:
        levels: Most kept connections, as fractions of the whole network's.
        seeds: Of everything that is drawn, the data included.
        trials: Of the Bayesian search; the uniform ratio is one.
        epochs: Of each training.
        images: Of the training split.
    """

    levels: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.3)
    seeds: int = 3
    trials: int = 4  # as many as a search has by default
    epochs: int = 8
    images: int = 10_000


def digits(quick: bool) -> Iterator[Figure]:
    """The time of twenty trials, and the epochs that shared prefixes save."""
    result, seconds, command = search(["digits", "--trials", "3" if quick else "20"])
    candidates = result["candidates"]
    yield figure("digits_seconds", seconds, "s", "< 300", command)
    own = [trial for trial in candidates if trial["same_as"] is None]
    saved = 1 - sum(trial["epochs_trained"] for trial in own) / sum(trial["epochs"] for trial in own)
    yield figure("digits_epochs_saved", saved, "of those of independent trials", ">= 0.5", command)
    yield figure("digits_repeated", len(candidates) - len(own), "trials that another one answered", "", command)
    yield figure("digits_accuracy", result["best"]["test_accuracy"], "one seed", "", command)


def memory(quick: bool) -> Iterator[Figure]:
    """The most memory that a search of many trials holds, against one of a few: of one network, and of several."""
    few, many = (2, 3) if quick else (5, 30)
    several = ["--space", "flexible", "--limit", "flash=40KB"]  # nearly every trial has a network of its own
    for name, choice in {"memory": [], "memory_of_networks": several}.items():
        arguments = ["digits", *choice, "--epochs", "8", "--trials"]
        first, _ = peak_memory([*arguments, str(few)])
        last, command = peak_memory([*arguments, str(many)])
        yield figure(name, last / first, f"times the peak of {few} trials", "<= 1.1", command)
        yield figure(f"{name}_mib", last, "MiB", "", command)


def mnist(quick: bool) -> Iterator[Figure]:
    """An 8 bit file for a microcontroller: its size, its memory and its accuracy."""
    limits = ["--limit", f"flash={LIMIT_BYTES // 1000}KB", "--limit", f"ram={RAM_BYTES // 1000}KB"]
    length = ["--trials", "1", "--epochs", "2"] if quick else ["--trials", "3", "--epochs", "15", "--max-time", "13m"]
    result, seconds, command = search(["mnist", *limits, *length])
    (artefact,) = result["best"]["artefacts"]
    yield figure("mnist_file_accuracy", artefact["test_accuracy"], "measured on the file", ">= 0.985", command)
    yield figure("mnist_file", artefact["bytes"], "bytes", f"<= {LIMIT_BYTES}", command)
    yield figure("mnist_ram", artefact["ram_bytes"], "bytes", f"<= {RAM_BYTES}", command)
    yield figure("mnist_seconds", seconds, "s", f"<= {SECONDS}", command)


def cifar10(quick: bool) -> Iterator[Figure]:
    """Ratios per block, found by Bayesian search, against one ratio for all blocks, at most as many connections kept.

    The uniform ratio is the largest that the limit allows. The search chooses among its trials by validation accuracy;
    its first trial is that ratio, so it pays for the others with time alone, and nothing is trained for the comparison
    unless the first trial was the worst. Differences are paired by level and seed.
    """
    plan = Comparison((0.1,), seeds=1, trials=2, epochs=2, images=256) if quick else Comparison()
    command = "python recipes/bench_search.py --only cifar10"
    differences = []
    for level in plan.levels:
        found = np.array([_pair(plan, level, seed) for seed in range(plan.seeds)])
        differences += list(found[:, 0] - found[:, 1])
        for name, accuracies in zip(("bayesian", "uniform"), found.T, strict=True):
            yield figure(f"cifar10_{name}_{level:g}", float(accuracies.mean()), f"mean of {plan.seeds}", "", command)
    low, high = bootstrap(np.array(differences))
    yield figure("cifar10_difference", float(np.mean(differences)), "paired mean, bayesian - uniform", "", command)
    yield figure("cifar10_difference_low", low, f"{CONFIDENCE} % bootstrap interval", "", command)
    yield figure("cifar10_difference_high", high, f"{CONFIDENCE} % bootstrap interval", "", command)
    yield figure("cifar10_bayesian_wins", float(low > 0), "1 if the interval lies above 0, else 0", ">= 1", command)
    verdict = "beat" if low > 0 else "lose to" if high < 0 else "do not differ clearly from"
    print(f"Ratios per block {verdict} the uniform ratio: {len(differences)} pairs.", file=sys.stderr, flush=True)


def bootstrap(differences: np.ndarray) -> tuple[float, float]:
    """Returns the percentile interval of the mean of paired differences."""
    drawn = np.random.default_rng(0).choice(differences, (RESAMPLES, len(differences)))
    tail = (100 - CONFIDENCE) / 2
    low, high = np.percentile(drawn.mean(axis=1), [tail, 100 - tail])
    return float(low), float(high)


def _pair(plan: Comparison, level: float, seed: int) -> tuple[float, float]:
    """Returns the test accuracies of the searched and of the uniform ratios."""
    from kgrow.searching import SPACES

    allowed = int(level * SPACES["compact"].build((32, 32, 3), 10).kernel_params())
    with tempfile.TemporaryDirectory() as folder:
        searched = _searched(plan, allowed, seed, folder, trials=plan.trials, tuning="bayesian")
        uniform = _first_trial(searched)
    if uniform is None:
        with tempfile.TemporaryDirectory() as folder:
            uniform = _searched(plan, allowed, seed, folder, trials=1, pruning={"keep_ratio": level}).test_accuracy
    trial = searched.document["best"]["trial"]
    said = f"bayesian {searched.test_accuracy:.4f} (trial {trial}), uniform {uniform:.4f}"
    print(f"{allowed} allowed, seed {seed}: {said}", file=sys.stderr, flush=True)
    return searched.test_accuracy, uniform


def _searched(plan: Comparison, allowed: int, seed: int, directory: str, **options: Any) -> kgrow.Result:
    import kgrow

    return kgrow.search(
        _cifar10(plan.images, seed),
        limits=kgrow.Limits(params=allowed),
        epochs=plan.epochs,
        seed=seed,
        directory=directory,
        verbose=2,
        **options,
    )


def _first_trial(result: kgrow.Result) -> float | None:
    """Returns the test accuracy of the first trial, None if it was the worst and its network was not kept."""
    from kgrow.lifecycle import BEST, Snapshot
    from kgrow.run import Run

    if not (result.directory / FIRST_TRIAL / BEST).exists():
        return None
    with Run.open(result.directory, result.document["config"]) as run:
        network = Snapshot.load(run.child(FIRST_TRIAL), BEST).network()
    answers = network.logits(result.task.test.images)[-1].argmax(axis=-1)
    return float(np.mean(answers == result.task.test.labels))


def _cifar10(num_images: int, seed: int) -> Any:
    """Returns CIFAR-10 with as many training images of each class, and at most as many images in each other split."""
    from kgrow.task import Task

    task = Task.of("cifar10")
    order = np.random.default_rng(seed).permutation(len(task.train))
    labels = task.train.labels[order]
    rows = np.concatenate([order[labels == label][: num_images // task.num_classes] for label in range(10)])
    return Task.of(
        (np.asarray(task.train.images)[rows], task.train.labels[rows]),
        validation_data=(task.validation.images[:num_images], task.validation.labels[:num_images]),
        test_data=(task.test.images[:num_images], task.test.labels[:num_images]),
        name=f"cifar10-{num_images}",
    )


def space(quick: bool) -> Iterator[Figure]:
    """Whether a wider space earns what its search costs: as many trials of `flexible` and of `compact`, paired."""
    command, seeds = "python recipes/bench_search.py --only space", range(1 if quick else 3)
    gains = []
    for seed in seeds:
        found = {name: _in_space(name, seed, quick) for name in ("flexible", "compact")}
        print(f"seed {seed}: {found}", file=sys.stderr, flush=True)
        gains.append(found["flexible"] - found["compact"])
    unit = f"of the test accuracy, mean of {len(gains)} seeds, {min(gains):+.4f} to {max(gains):+.4f}"
    yield figure("space_gain", statistics.mean(gains), unit, ">= 0", command)


def _in_space(name: str, seed: int, quick: bool) -> float:
    """Returns the test accuracy of the best network of a space for a small microcontroller."""
    import kgrow

    with tempfile.TemporaryDirectory() as folder:
        result = kgrow.search(
            _cifar10(200 if quick else 10_000, 0),
            space=name,
            limits={"flash_bytes": "40KB", "ram_bytes": "16KB"},
            trials=2 if quick else 8,
            epochs=2 if quick else 10,
            seed=seed,
            directory=folder,
            verbose=2,
        )
        return result.test_accuracy


def estimators(quick: bool) -> Iterator[Figure]:
    """How far the order in which an estimator puts ten networks of several sizes agrees with that of full training.

    All of them see the same candidates, which are drawn. An estimate that differs from full training was cheaper; where
    an estimator lets a candidate be trained to its end, the two are equal and tell nothing of it.
    """
    from kgrow.registry import ESTIMATORS, EXPERIMENTAL

    command = "python recipes/bench_search.py --only estimators"
    known = {name: estimator for name, estimator in {**ESTIMATORS, **EXPERIMENTAL}.items() if name != "full"}
    for name, estimator in itertools.islice(known.items(), 1 if quick else None):
        found = [_calibrated(estimator, seed, quick) for seed in range(1 if quick else ESTIMATOR_SEEDS)]
        pairs = [pair for calibration in found for pair in calibration["candidates"]]
        cheaper = [pair for pair in pairs if pair["estimated_val_accuracy"] != pair["val_accuracy"]]
        tau = statistics.mean(calibration["kendall_tau"] or 0.0 for calibration in found)
        goals = ("", "") if name in EXPERIMENTAL else (f">= {USEFUL_TAU}", f">= {USEFUL_SHARE}")
        share, unit = len(cheaper) / len(pairs), f"Kendall's tau, mean of {len(found)} seeds"
        yield figure(f"estimators_{name}_tau", tau, unit, goals[0], command)
        yield figure(f"estimators_{name}_cheaper", share, "of the candidates", goals[1], command)


def _calibrated(estimator: Any, seed: int, quick: bool) -> dict[str, Any]:
    import kgrow

    with tempfile.TemporaryDirectory() as folder:
        result = kgrow.search(
            "digits",
            limits={"flash_bytes": "40KB"},
            trials=10,
            tuning={"oracle": "random", "estimator": estimator, "calibrate": True},
            epochs=2 if quick else 20,
            seed=seed,
            directory=folder,
            verbose=2,
        )
        return result.document["calibration"]


def candidates(quick: bool) -> Iterator[Figure]:
    """Candidates checked against limits from their architecture alone, in processor time; drawing is not counted."""
    from kgrow.searching.footprint import costs
    from kgrow.searching.limits import Limits

    limits = Limits(params=20_000, macs=10_000_000, flash_bytes=64_000, ram_bytes=32_000)
    drawn, command = _drawn(2_000 if quick else 20_000), "python recipes/bench_search.py --only candidates"
    rates = []
    for _ in range(5):
        started = time.process_time()
        for architecture, ratios in drawn:
            limits.exceeded(vars(costs(architecture).footprint(ratios)))
        rates.append(60 * len(drawn) / (time.process_time() - started))
    yield figure("candidates", statistics.median(rates), "per minute of one core, median of 5", ">= 1e6", command)


def _drawn(count: int) -> list[tuple[Any, tuple[float, ...]]]:
    """Draws architectures of every width and depth, with up to one other choice, and ratios."""
    from kgrow.searching import SPACES
    from kgrow.searching.space import deviations

    generator = random.Random(0)
    built = [
        SPACES[space].build((32, 32, 3), 10, width=width, **choices)
        for space in ("flexible", "seed")
        for width in SPACES[space].widths
        for choices in deviations(SPACES[space].choices((32, 32, 3)))
    ]
    shortened = [
        dataclasses.replace(deepest, blocks=deepest.blocks[:depth])
        for deepest in built
        for depth in range(1, len(deepest.blocks) + 1)
    ]
    architectures = (generator.choice(shortened) for _ in range(count))
    return [(each, tuple(generator.uniform(0.05, 1.0) for _ in each.blocks)) for each in architectures]


MEASURES = {
    "digits": digits,
    "memory": memory,
    "mnist": mnist,
    "cifar10": cifar10,
    "candidates": candidates,
}

if __name__ == "__main__":
    sys.exit(main(__doc__.partition("\n")[0], MEASURES, REDUCTIONS, lengthy={"estimators": estimators, "space": space}))
