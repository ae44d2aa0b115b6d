"""Measures growing and pruning as one dynamic against a fixed order of both, on CIFAR-10 at equal kept parameters.

    python recipes/bench_growth.py [--only NAME] [--quick] [--json]

CIFAR-10 comes from TensorFlow Datasets; the default network sees 10 000 training images for 20 epochs. Every way ends
with as many kept connections. Accuracies are those of the last head after the last epoch on the test split, which
chooses nothing: mean and standard deviation over three seeds. Differences are paired, image by image and seed by seed,
with intervals of a bootstrap over both. Beside them stand what each training cost: multiply-accumulates of all its
steps, CPU seconds, and how many connections were alive, as fractions of those of the whole network from the start.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Figure, cifar10, figure, main

if TYPE_CHECKING:
    from kgrow.graph import Architecture
    from kgrow.lifecycle import Settings
    from kgrow.structure import StructurePolicy
    from kgrow.task import Task

REDUCTIONS = "128 training and 100 test images, three epochs, one seed, two ways (the figures then mean nothing)"
NUM_RESAMPLES = 2_000


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is run."""

    num_images: int = 10_000
    num_test_images: int = 10_000
    epochs: int = 20
    num_seeds: int = 3
    ways: tuple[str, ...] = (
        *("fixed", "interleaved", "rigl", "rigl_grown", "market_without_exchange", "market"),
        *("market_random_gains", "market_random_prices", "fixed_two_blocks", "dense"),
    )


FULL, QUICK = Scale(), Scale(128, 100, 3, 1, ("fixed", "market"))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one training ends with.

    Args:
        correct: Whether each test image is classified correctly.
        kept: Kept connections.
        blocks: Blocks.
        peak: Most connections that were alive at once, as a fraction of the target's.
        alive: Connections that were alive, mean over epochs, likewise.
        macs: Multiply-accumulates of all epochs, as a fraction of those of the target with whole images.
        seconds: CPU seconds.
    """

    correct: np.ndarray
    kept: int
    blocks: int
    peak: float
    alive: float
    macs: float
    seconds: float


def kept_38571(quick: bool) -> Iterator[Figure]:
    """As many kept connections as the published method's larger network."""
    yield from _compared(38_571, "kept_38571", quick)


def kept_16939(quick: bool) -> Iterator[Figure]:
    """As many as its smaller one."""
    yield from _compared(16_939, "kept_16939", quick)


def _compared(num_kept: int, name: str, quick: bool) -> Iterator[Figure]:
    scale, found = QUICK if quick else FULL, dict[str, list[Outcome]]()
    command = f"python recipes/bench_growth.py --only {name}"
    task = cifar10(scale.num_images, scale.num_test_images)
    for seed in range(scale.num_seeds):
        for way in scale.ways:
            outcome = _trained(task, scale, way, num_kept, seed)
            found.setdefault(way, []).append(outcome)
            accuracy = 100 * outcome.correct.mean()
            line = f"seed {seed}, {way}: {accuracy:.2f} %, {outcome.kept} connections in {outcome.blocks} blocks"
            print(f"{line}, {outcome.seconds:.0f} CPU s", file=sys.stderr, flush=True)
    for way, outcomes in found.items():
        accuracies = [100 * float(outcome.correct.mean()) for outcome in outcomes]
        yield figure(f"{name}_{way}_accuracy", statistics.mean(accuracies), "%", "", command)
        yield figure(f"{name}_{way}_accuracy_std", statistics.pstdev(accuracies), "% over seeds", "", command)
        for field, unit in (
            ("kept", "connections"),
            ("blocks", "blocks"),
            ("peak", "of the whole network's connections"),
            ("alive", "of the whole network's connections, mean over epochs"),
            ("macs", "of the whole network's training MACs"),
            ("seconds", "CPU s"),
        ):
            values = [float(getattr(outcome, field)) for outcome in outcomes]
            yield figure(f"{name}_{way}_{field}", statistics.mean(values), unit, "", command)
    for way in scale.ways:
        if way != "fixed":
            mean, low, high = _gain(found[way], found["fixed"])
            yield figure(f"{name}_{way}_gain", mean, "points over fixed, paired", "", command)
            yield figure(f"{name}_{way}_gain_low", low, "points, 2.5 % of the bootstrap", "", command)
            yield figure(f"{name}_{way}_gain_high", high, "points, 97.5 %", "", command)


def _gain(ours: list[Outcome], theirs: list[Outcome]) -> tuple[float, float, float]:
    """Returns the mean gain in points and its 95 % interval, over seeds and images."""
    pairs = zip(ours, theirs, strict=True)
    gains = np.array([100 * (own.correct.astype(float) - other.correct) for own, other in pairs])
    generator = np.random.default_rng(0)
    means = []
    for _ in range(NUM_RESAMPLES):
        seeds = generator.integers(len(gains), size=len(gains))
        images = generator.integers(gains.shape[1], size=gains.shape[1])
        means.append(gains[seeds][:, images].mean())
    low, high = np.percentile(means, (2.5, 97.5))
    return float(gains.mean()), float(low), float(high)


def _trained(task: Task, scale: Scale, way: str, num_kept: int, seed: int) -> Outcome:
    from kgrow.lifecycle import Lifecycle
    from kgrow.run import Run
    from kgrow.training import Observer

    whole = _network(task, 1.0)
    target = _of_size(task, num_kept) if way == "dense" else whole
    if way == "fixed_two_blocks":  # what the market may come to, without deciding
        target = dataclasses.replace(whole, blocks=whole.blocks[:2])
    ratio = 1.0 if way == "dense" else num_kept / target.kernel_params()
    settings, started = WAYS[way](_settings(scale, seed)), time.process_time()
    with tempfile.TemporaryDirectory() as folder, Run.open(Path(folder) / way, {}) as run:
        life = Lifecycle(task, target, (ratio,) * len(target.blocks), settings, run, Observer())
        life.train()
        seconds = time.process_time() - started
        epochs = [event for event in run.events() if event["event"] == "epoch"]
        macs = _macs(run.events(), life, whole)
    answers = life.network.logits(task.test.images)[-1].argmax(axis=-1)
    alive = [event["kept_params"] / whole.kernel_params() for event in epochs]
    return Outcome(
        answers == task.test.labels,
        life.network.kept_params(),
        len(life.network.blocks),
        max(alive),
        statistics.mean(alive),
        macs,
        seconds,
    )


def _macs(events: list[dict[str, Any]], life: Any, whole: Architecture) -> float:
    """Returns the mean multiply-accumulates of an epoch's images, masks aside, as a fraction of the whole network's."""
    from kgrow.graph.image_size import at_image_size
    from kgrow.structure import AppendBlock, RemoveChannels, ResizeImages

    now, found = dataclasses.replace(life.target, blocks=()), []
    for event in events:
        if event["event"] == "epoch":
            found.append(now.macs(passing=range(len(now.blocks))))
        elif event["event"] == AppendBlock.event:
            height, width, _ = now.input_shape
            now = now.grow(at_image_size(life.target, (height, width)).blocks[len(now.blocks)])
        elif event["event"] == ResizeImages.event:
            now = at_image_size(now, tuple(event["change"]["size"]))
        elif event["event"] == RemoveChannels.event:
            now = at_image_size(life.network.architecture, now.input_shape[:2])
    return statistics.mean(found) / whole.macs(passing=range(len(whole.blocks)))


def _network(task: Task, width: float) -> Architecture:
    from kgrow.graph import Scaling
    from kgrow.searching import SPACES

    scaling = Scaling(task.pixel_mean, task.pixel_std)
    return SPACES["compact"].build(task.input_shape, task.num_classes, scaling, width=width)


def _of_size(task: Task, num_kept: int) -> Architecture:
    """Returns the widest network with at most as many connections."""
    widths = np.arange(0.05, 1.0, 0.01)
    sizes = [(abs(_network(task, width).kernel_params() - num_kept), width) for width in widths]
    return _network(task, min(sizes)[1])


def _settings(scale: Scale, seed: int) -> Settings:
    from kgrow.lifecycle import PRESETS, Settings
    from kgrow.pruning import CRITERIA
    from kgrow.task import Augmentation

    preset = PRESETS["default"].stretched(scale.epochs)
    return Settings(preset, CRITERIA["magnitude"](seed), augmentation=Augmentation(shift=4, flip=True), seed=seed)


def _growing(policy: Callable[[], StructurePolicy]) -> Callable[[Settings], Settings]:
    return lambda settings: dataclasses.replace(settings, growth=policy())


def _rigl(settings: Settings, grow_epochs: tuple[int, ...], prune_epochs: tuple[int, ...]) -> Settings:
    """Blocks are born with random masks, and connections are exchanged by gradient from then on."""
    from kgrow.pruning import CRITERIA

    schedule = {"grow_epochs": grow_epochs, "prune_epochs": prune_epochs, "strategy": "one-shot"}
    preset = dataclasses.replace(settings.preset, **schedule)
    criterion = CRITERIA["random"](settings.seed)
    return dataclasses.replace(settings, preset=preset, criterion=criterion, scope="erk", regrowth="gradient")


def _dense(settings: Settings) -> Settings:
    preset = dataclasses.replace(settings.preset, prune_epochs=())
    return dataclasses.replace(settings, preset=preset)


def _interleaved() -> StructurePolicy:
    from kgrow.structure import Interleaved

    return Interleaved()


def _market(**options: float) -> StructurePolicy:
    from kgrow.structure import Market

    return Market(**options)  # type: ignore[arg-type] - numbers


def _market_at_random(side: str) -> StructurePolicy:
    """Returns a market that does not know what connections are worth: the values of each kernel are shuffled."""
    from kgrow.structure import Market

    class Shuffled(Market):
        def prices(self, state: Any) -> Mapping[str, Any]:
            generator = np.random.default_rng(state.epoch)
            masks, found = state.statistics.masks(), {}
            for name, prices in super().prices(state).items():
                chosen, values = (masks[name] > 0) == (side == "removal"), getattr(prices, side).copy()
                values[chosen] = generator.permutation(values[chosen])
                found[name] = prices._replace(**{side: values})
            return found

    return Shuffled()


WAYS: dict[str, Callable[[Settings], Settings]] = {
    "fixed": lambda settings: settings,
    "interleaved": _growing(_interleaved),
    "rigl": lambda settings: _rigl(settings, (0, 0, 0), (0, 0, 0, 0)),
    "rigl_grown": lambda settings: _rigl(settings, settings.preset.grow_epochs, (0, *settings.preset.grow_epochs)),
    "market_without_exchange": _growing(lambda: _market(exchange=0.0)),
    "market": _growing(_market),
    "market_random_gains": _growing(lambda: _market_at_random("gain")),
    "market_random_prices": _growing(lambda: _market_at_random("removal")),
    "fixed_two_blocks": lambda settings: settings,
    "dense": _dense,
}


if __name__ == "__main__":
    figures = {"kept_38571": kept_38571, "kept_16939": kept_16939}
    sys.exit(main(__doc__.partition("\n")[0], figures, REDUCTIONS))
