"""Measures which connections are worth keeping: SNIP, evidence and magnitude on CIFAR-10 at equal kept parameters.

    python recipes/bench_criteria.py [--only NAME] [--quick] [--json]

CIFAR-10 comes from TensorFlow Datasets. The default network sees 10 000 training images for 20 epochs of the default
schedule, which prunes in steps from the 12th on. Until then all criteria share one training, seed by seed. Accuracies
are those of the last head after the last epoch on the test split, which chooses nothing: mean and standard deviation
over three seeds, and paired differences with two standard errors.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from _bench import Figure, cifar10, figure, main

if TYPE_CHECKING:
    from kgrow.lifecycle import Settings, Snapshot
    from kgrow.network import GrowingNetwork
    from kgrow.task import Task

REDUCTIONS = "256 training and 200 test images, three epochs, one seed, keep ratio 0.2 (the figures then mean nothing)"
CRITERIA = ("snip", "fisher", "magnitude", "random")
COMMAND = "python recipes/bench_criteria.py --only criteria"


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is run."""

    num_images: int = 10_000
    num_test_images: int = 10_000
    epochs: int = 20
    num_seeds: int = 3
    keep_ratios: tuple[float, ...] = (0.5, 0.2, 0.1)


FULL, QUICK = Scale(), Scale(256, 200, 3, 1, (0.2,))


def criteria(quick: bool) -> Iterator[Figure]:
    """Test accuracy by criterion and keep ratio, and what evidence gains over the others."""
    scale = QUICK if quick else FULL
    found: dict[tuple[str, float], list[float]] = {}
    kept: dict[float, list[int]] = {}
    for seed in range(scale.num_seeds):
        for (criterion, ratio), accuracy, num_kept in _accuracies(scale, seed):
            found.setdefault((criterion, ratio), []).append(accuracy)
            kept.setdefault(ratio, []).append(num_kept)
            line = f"seed {seed}, {criterion} at {ratio:g}: {accuracy:.2f} %, {num_kept} connections"
            print(line, file=sys.stderr, flush=True)
    for ratio in scale.keep_ratios:
        yield figure(f"criteria_{ratio:g}_kept_least", min(kept[ratio]), "connections, of all networks", "", COMMAND)
        yield figure(f"criteria_{ratio:g}_kept_most", max(kept[ratio]), "connections, of all networks", "", COMMAND)
        for criterion in CRITERIA:
            accuracies, name = found[criterion, ratio], f"criteria_{criterion}_{ratio:g}"
            yield figure(f"{name}_accuracy", statistics.mean(accuracies), "%", "", COMMAND)
            yield figure(f"{name}_accuracy_std", statistics.pstdev(accuracies), "% over seeds", "", COMMAND)
        for other in ("snip", "magnitude"):
            gains = [ours - theirs for ours, theirs in zip(found["fisher", ratio], found[other, ratio], strict=True)]
            name = f"criteria_bayes_over_{other}_{ratio:g}"
            yield figure(name, statistics.mean(gains), "points, paired", "", COMMAND)
            error = 2 * statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
            yield figure(f"{name}_error", error, "points, two standard errors", "", COMMAND)


def _accuracies(scale: Scale, seed: int) -> Iterator[tuple[tuple[str, float], float, int]]:
    """Trains to the first pruning once, and from there under each criterion and keep ratio.

    Yields:
        Criterion and keep ratio, the test accuracy in %, and how many connections are kept.
    """
    from kgrow.pruning import CRITERIA as KNOWN

    task, settings = cifar10(scale.num_images, scale.num_test_images), _settings(scale, seed)
    first = min(settings.preset.prune_epochs)
    with tempfile.TemporaryDirectory() as folder:
        start = _trained(task, settings, 1.0, Path(folder) / "shared", None, first)
        for ratio in scale.keep_ratios:
            for criterion in CRITERIA:
                own = dataclasses.replace(settings, criterion=KNOWN[criterion](seed))
                network = _trained(task, own, ratio, Path(folder) / f"{criterion}_{ratio:g}", start).network()
                yield (criterion, ratio), _test_accuracy(network, task), network.kept_params()


def _trained(
    task: Task, settings: Settings, ratio: float, path: Path, start: Snapshot | None, epochs: int | None = None
) -> Snapshot:
    from kgrow.graph import Scaling
    from kgrow.lifecycle import LAST, Lifecycle, Snapshot
    from kgrow.run import Run
    from kgrow.searching import SPACES
    from kgrow.training import Observer

    target = SPACES["compact"].build(task.input_shape, task.num_classes, Scaling(task.pixel_mean, task.pixel_std))
    with Run.open(path, {}) as run:
        Lifecycle(task, target, (ratio,) * len(target.blocks), settings, run, Observer()).train(start, epochs=epochs)
        return Snapshot.load(run, LAST)


def _test_accuracy(network: GrowingNetwork, task: Task) -> float:
    logits = network.logits(task.test.images)[-1]
    return 100 * float((logits.argmax(axis=-1) == task.test.labels).mean())


def _settings(scale: Scale, seed: int) -> Settings:
    from kgrow.lifecycle import PRESETS, Settings
    from kgrow.pruning import SNIP
    from kgrow.task import Augmentation

    preset = PRESETS["default"].stretched(scale.epochs)
    return Settings(preset, SNIP(seed=seed), augmentation=Augmentation(shift=4, flip=True), seed=seed)


if __name__ == "__main__":
    sys.exit(main(__doc__.partition("\n")[0], {"criteria": criteria}, REDUCTIONS))
