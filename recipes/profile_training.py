"""Measures where the time of a training goes.

    python recipes/profile_training.py [--only NAME] [--quick] [--json]

Each training follows the default schedule, shortened to ten epochs, with channel pruning, in this process and without
other work beside it. The parts do not overlap; what is left are logs and Python.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from _bench import Figure, figure, main

if TYPE_CHECKING:
    from kgrow.task import Task

REDUCTIONS = "256 images of each data set, two epochs"
NUM_IMAGES = {"digits": 1797, "mnist": 6000, "cifar10": 5000, "photographs": 1500}
EPOCHS, PARTS = 10, ("input", "tracing", "steps", "pruning", "validation", "checkpoints")


class Clock:
    """The seconds of each part; inside another part, a part counts alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = collections.Counter()
        self._inner = [0.0]

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts the time of its body for a part."""
        started = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            taken = time.perf_counter() - started
            self.seconds[name] += taken - self._inner.pop()
            self._inner[-1] += taken

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function whose time counts for a part."""

        @functools.wraps(call)
        def timing(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return call(*args, **kwargs)

        return timing


def profile(quick: bool, name: str) -> Iterator[Figure]:
    """Trains on one data set and yields the share of each part."""
    from unittest import mock

    from kgrow.lifecycle import Lifecycle
    from kgrow.network import GrowingNetwork
    from kgrow.task import Split
    from kgrow.training import TrainingStep

    clock, command = Clock(), f"python recipes/profile_training.py --only {name}"
    step, batches = TrainingStep.__call__, Split.batches

    def timed_step(self: TrainingStep, *inputs: Any) -> Any:
        with clock.part("steps" if self.num_traces else "tracing"):
            return step(self, *inputs).numpy()  # the result, not only the order to compute it

    def timed_batches(self: Split, *args: Any, **kwargs: Any) -> Iterator[Any]:
        drawn = batches(self, *args, **kwargs)
        while True:
            with clock.part("input"):
                batch = next(drawn, None)
            if batch is None:
                return
            yield batch

    class Untensored(float):
        """A loss that is known already."""

        def numpy(self) -> float:
            return float(self)

    timings = {
        (TrainingStep, "__call__"): lambda self, *inputs: Untensored(timed_step(self, *inputs)),
        (Split, "batches"): timed_batches,
        (Lifecycle, "begin_epoch"): clock.timed("pruning", Lifecycle.begin_epoch),
        (Lifecycle, "_fitted"): clock.timed("input", Lifecycle._fitted),
        (GrowingNetwork, "logits"): clock.timed("validation", GrowingNetwork.logits),
        (Lifecycle, "save"): clock.timed("checkpoints", Lifecycle.save),
    }
    with contextlib.ExitStack() as stack:
        for (owner, method), replaced in timings.items():
            stack.enter_context(mock.patch.object(owner, method, replaced))
        started = time.perf_counter()
        _train(_task(name, 256 if quick else NUM_IMAGES[name]), 2 if quick else EPOCHS)
        whole = time.perf_counter() - started
    yield figure(f"{name}_seconds", whole, "s", "", command)
    for part in PARTS:
        yield figure(f"{name}_{part}", 100 * clock.seconds[part] / whole, "% of the time", "", command)


def _task(name: str, num_images: int) -> Task:
    """Returns a data set with its first training images; photographs are noise, which takes as long."""
    import numpy as np

    from kgrow.task import Task

    if name == "photographs":
        images = np.random.default_rng(0).integers(0, 256, (num_images, 96, 96, 3), dtype=np.uint8)
        return Task.of((images, np.arange(num_images) % 5), seed=0)
    whole = Task.of(name, seed=0)
    train = whole.train
    return Task.of((train.images[:num_images], train.labels[:num_images]), seed=0)


def _train(task: Task, epochs: int) -> None:
    from kgrow.graph import Scaling
    from kgrow.lifecycle import PRESETS, ChannelPruning, Lifecycle, Settings
    from kgrow.registry import CHANNEL_CRITERIA, CRITERIA, SPACES
    from kgrow.run import Run
    from kgrow.task import Augmentation
    from kgrow.training import Observer

    preset = PRESETS["default"].suited_to(len(task.train), min(task.input_shape[:2])).stretched(epochs)
    settings = Settings(
        preset,
        CRITERIA["magnitude"](0),
        augmentation=Augmentation.suited_to(task),
        channels=ChannelPruning(None, CHANNEL_CRITERIA["taylor"](0), 8),
    )
    scaling = Scaling(task.pixel_mean, task.pixel_std)
    target = SPACES["compact"].build(task.input_shape, task.num_classes, scaling)
    with tempfile.TemporaryDirectory() as folder, Run.open(folder, {}) as run:
        Lifecycle(task, target, (0.25,) * len(target.blocks), settings, run, Observer()).train()


if __name__ == "__main__":
    parts = {name: functools.partial(profile, name=name) for name in NUM_IMAGES}
    sys.exit(main(__doc__.partition("\n")[0], parts, REDUCTIONS))
