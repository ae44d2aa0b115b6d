"""Measures structural compression by evidence of a ResNet-18 on CIFAR-10.

    python recipes/bench_resnet.py [--only NAME] [--quick] [--json]

CIFAR-10 comes from TensorFlow Datasets. The network has a stem and eight residual cells in four stages. `narrow` has a
quarter of the filters and sees 10 000 training images; `full` has all and takes days on a CPU, so it runs only when it
is named. Errors are those of the last epoch on the test split, which chooses nothing. "BayesNAS" (Zhou, Yang, Wang and
Pan, ICML 2019) reports 6.23 % error with 2.96 % of the connections, against 6.58 % with all.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from _bench import Figure, cifar10, figure, main

if TYPE_CHECKING:
    from kgrow.bayes import Compression
    from kgrow.graph import Architecture
    from kgrow.task import Task

REDUCTIONS = "256 training and 200 test images, 4 filters, two loops of one epoch, one epoch of recovery"
STAGES = ((1, 1), (2, 2), (4, 2), (8, 2))  # width and stride of the first of two cells
CONVOLUTION, DENSE = ("shape", "filter"), ("in_neuron", "out_neuron")


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is run."""

    filters: int
    num_images: int | None
    num_test_images: int | None
    num_loops: int
    epochs_per_loop: int
    recovery_epochs: int
    learning_rate: float = 0.05

    @property
    def epochs(self) -> int:
        """Of one network."""
        return self.num_loops * self.epochs_per_loop + self.recovery_epochs


FULL = Scale(64, None, None, num_loops=10, epochs_per_loop=10, recovery_epochs=40)
NARROW = Scale(16, 10_000, None, num_loops=4, epochs_per_loop=4, recovery_epochs=8)
QUICK = Scale(4, 256, 200, num_loops=2, epochs_per_loop=1, recovery_epochs=1)


def narrow(quick: bool) -> Iterator[Figure]:
    """A quarter of the filters, 10 000 training images."""
    yield from _measured("narrow", QUICK if quick else NARROW, "<= 40")


def full(quick: bool) -> Iterator[Figure]:
    """As published."""
    yield from _measured("full", QUICK if quick else FULL, "")


def _measured(name: str, scale: Scale, goal_minutes: str) -> Iterator[Figure]:
    from kgrow.exporting import compact

    started, command = time.monotonic(), f"python recipes/bench_resnet.py --only {name}"
    task = cifar10(scale.num_images, scale.num_test_images)
    architecture = _resnet(task, scale.filters)
    dense = _work(architecture, task)
    _train(dense, task, scale, removing=False)
    yield figure(f"{name}_dense_error", _error(dense, task), "% with all connections", "", command)
    work = _work(architecture, task)
    _train(work, task, scale, removing=True)
    yield figure(f"{name}_error", _error(work, task), "%", "", command)
    small = compact(work.network.network)
    kept = 100 * small.kept_params() / architecture.kernel_params()
    yield figure(f"{name}_kept", kept, "% of the connections", "", command)
    macs = small.architecture.macs() / architecture.macs()
    yield figure(f"{name}_macs", macs, "of the MACs, without the channels that are gone", "", command)
    widths = [shape[-1] for name, shape in small.architecture.shapes.items() if name.endswith("/first")]
    print(f"channels left in the stem and inside each cell: {widths}", file=sys.stderr, flush=True)
    yield figure(f"{name}_minutes", (time.monotonic() - started) / 60, "min, both networks", goal_minutes, command)


def _resnet(task: Task, filters: int) -> Architecture:
    from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells

    cells = [Cell("conv", filters)]
    for width, stride in STAGES:
        for step in (stride, 1):
            shortcut = "identity" if cells[-1].filters == width * filters else "projection"
            cells.append(
                Cell(
                    "residual",
                    width * filters,
                    (len(cells) - 1,),
                    hidden_filters=width * filters,
                    stride=step,
                    shortcut=shortcut,
                )
            )
    scaling = Scaling(task.pixel_mean, task.pixel_std)
    return of_cells(task.input_shape, task.num_classes, scaling, (CellBlock(tuple(cells), Head(grid=1)),))


def _work(architecture: Architecture, task: Task) -> Compression:
    from kgrow.bayes import Compression, CompressionSettings
    from kgrow.network import GrowingNetwork
    from kgrow.pruning import CompressibleNetwork
    from kgrow.task import Augmentation

    network = CompressibleNetwork(GrowingNetwork(architecture), Augmentation.suited_to(task))
    categories = tuple(CONVOLUTION if len(kernel.shape) == 4 else DENSE for kernel in network.kernels)
    # Nats per image: one over the number of training images takes the prior at its word.
    return Compression(network, CompressionSettings(categories, (1 / len(task.train),) * len(categories)))


def _train(work: Compression, task: Task, scale: Scale, *, removing: bool) -> None:
    """Trains for the epochs of the scale, in loops that remove or without."""
    from kgrow.bayes import CompressionLoop
    from kgrow.reporting.progress import display_for

    CompressionLoop(
        work,
        task.train.images,
        task.train.labels,
        scale.epochs,
        epochs_per_loop=scale.epochs_per_loop,
        recovery_epochs=scale.recovery_epochs if removing else scale.epochs,
        rate=lambda epoch: scale.learning_rate * min(1.0, (scale.epochs - epoch) / scale.recovery_epochs),
        observer=display_for(2),
    ).go_on(0)


def _error(work: Compression, task: Task) -> float:
    logits: Any = work.network.network.logits(task.test.images)[-1]
    return 100 * float((logits.argmax(axis=-1) != task.test.labels).mean())


if __name__ == "__main__":
    sys.exit(main(__doc__.partition("\n")[0], {"narrow": narrow}, REDUCTIONS, {"full": full}))
