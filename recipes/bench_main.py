"""Measures the main job: accuracy at a size, and what growing and pruning cost while training.

    python recipes/bench_main.py [--only NAME] [--quick] [--json]

MNIST and CIFAR-10 come from TensorFlow Datasets. Accuracies are those of the final head on the test split, which
chooses nothing. Two cores, no GPU.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _bench import Figure, figure, main, search

REDUCTIONS = "one seed, one epoch on 1 000 images of MNIST and CIFAR-10, fewer timed steps"
FEW = 1_000
CIFAR_72K = "0.1229"
CIFAR_38K = "0.0654"
GROWN_RATIO = 0.25  # of the connections: half of the channels of every layer


def digits(quick: bool) -> Iterator[Figure]:
    """Accuracy at 10 000 kept parameters, and the time of the whole command."""
    arguments = ["digits", "--limit", "params=10000"]
    runs = [search([*arguments, "--seed", str(seed)]) for seed in range(1 if quick else 5)]
    accuracies = [result["best"]["test_accuracy"] for result, _, _ in runs]
    command = f"kgrow search {' '.join(arguments)} --seed 0..{len(runs) - 1}"
    yield figure("digits_accuracy", statistics.mean(accuracies), "mean", ">= 0.98", command)
    yield figure("digits_accuracy_std", statistics.pstdev(accuracies), "std over seeds", "", command)
    kept = max(result["best"]["kept_params"] for result, _, _ in runs)
    yield figure("digits_kept_params", kept, "parameters", "<= 10000", command)
    yield figure("digits_seconds", max(seconds for _, seconds, _ in runs), "s", "< 120", command)


def default(quick: bool) -> Iterator[Figure]:
    """What a search of digits without any option ends in: an int8 file without the channels that were pruned."""
    runs = [search(["digits", "--seed", str(seed)]) for seed in range(1 if quick else 5)]
    networks = [result["best"] for result, _, _ in runs]
    accuracies, sizes = ([best["artefacts"][0][it] for best in networks] for it in ("test_accuracy", "bytes"))
    saved = [1 - size / best["unpruned"]["bytes"] for size, best in zip(sizes, networks, strict=True)]
    command = f"kgrow search digits --seed 0..{len(runs) - 1}"
    yield figure("default_accuracy", statistics.mean(accuracies), "mean", ">= 0.98", command)
    yield figure("default_accuracy_std", statistics.pstdev(accuracies), "std over seeds", "", command)
    yield figure("default_bytes", statistics.mean(sizes), "bytes, mean", "<= 12000", command)
    yield figure("default_bytes_most", max(sizes), "bytes of the largest", "", command)
    yield figure("default_bytes_saved", statistics.mean(saved), "of the bytes, by pruning", "", command)
    yield figure("default_seconds", max(seconds for _, seconds, _ in runs), "s", "< 30", command)


def mnist(quick: bool) -> Iterator[Figure]:
    """Accuracy at 25 000 kept parameters in 10 epochs."""
    arguments = ["mnist", "--epochs", "1" if quick else "10", "--trials", "1", "--limit", "params=25000"]
    yield from _accuracy("mnist", arguments, ">= 0.992", "<= 25000", quick)


def cifar_72k(quick: bool) -> Iterator[Figure]:
    """CIFAR-10 at 72 450 kept parameters."""
    yield from _cifar("cifar10_72k", CIFAR_72K, 72_450, ">= 0.87", quick)


def cifar_38k(quick: bool) -> Iterator[Figure]:
    """CIFAR-10 at 38 571 kept parameters."""
    yield from _cifar("cifar10_38k", CIFAR_38K, 38_571, ">= 0.85", quick)


def _cifar(name: str, ratios: str, params: int, goal: str, quick: bool) -> Iterator[Figure]:
    arguments = ["cifar10", "--epochs", "1" if quick else "40", "--keep-ratio", ratios, "--limit", f"params={params}"]
    arguments += ["--space", "large", "--criterion", "magnitude", "--scope", "global"]
    arguments += ["--validation-split", "0.02"]  # one candidate: it decides between the last epochs alone
    yield from _accuracy(name, arguments, goal, f"<= {params}", quick)


def _accuracy(name: str, arguments: Sequence[str], goal: str, size: str, quick: bool) -> Iterator[Figure]:
    result, seconds, command = search(arguments, FEW if quick else None)
    best = result["best"]
    yield figure(f"{name}_accuracy", best["test_accuracy"], "one seed", goal, command)
    yield figure(f"{name}_kept_params", best["kept_params"], "parameters", size, command)
    yield figure(f"{name}_file_accuracy", best["artefacts"][0]["test_accuracy"], "measured on the file", "", command)
    yield figure(f"{name}_seconds", seconds, "s", "", command)


def masked_step(quick: bool) -> Iterator[Figure]:
    """A training step of the masked network against the same network of plain Keras layers, turn by turn."""
    trainer, batch = _trainer()
    plain = _plain_step(trainer)
    masked = _step(trainer)
    for step in (masked, plain):
        for _ in range(3):
            step(*batch)
    seconds = _interleaved({"masked": lambda: masked(*batch), "plain": lambda: plain(*batch)}, 8 if quick else 40)
    command = "python recipes/bench_main.py --only masked_step"
    size = len(batch[1])
    yield figure("masked_step", seconds["masked"] / seconds["plain"], "times the plain step", "<= 1.05", command)
    yield figure("masked_images_per_second", size / seconds["masked"], "images/s", "", command)
    yield figure("plain_images_per_second", size / seconds["plain"], "images/s", "", command)


def growth(quick: bool) -> Iterator[Figure]:
    """Wall time of growing blocks and images and removing channels against the full network for the same epochs."""
    from kgrow.lifecycle import PRESETS

    images = 256 if quick else 10_000
    grown = PRESETS["default"].stretched(10)
    full = dataclasses.replace(grown, grow_epochs=(0, 0, 0), prune_epochs=(), resolutions=())
    seconds = {"grown": _train_seconds(grown, images, GROWN_RATIO), "full": _train_seconds(full, images, 1.0)}
    command = "python recipes/bench_main.py --only growth"
    yield figure("growth", seconds["grown"] / seconds["full"], "times the full network's time", "<= 0.75", command)
    yield figure("grown_seconds", seconds["grown"], "s", "", command)
    yield figure("full_seconds", seconds["full"], "s", "", command)


def retracing(quick: bool) -> Iterator[Figure]:
    """The time from a structural event to the end of the next step, beyond a usual step."""
    from kgrow._keras import tf

    command = "python recipes/bench_main.py --only retracing"
    trainer, batch = _trainer(num_blocks=1)
    target = _architecture()
    _step(trainer)(*batch)
    for index in range(1, len(target.blocks)):
        started = time.perf_counter()
        trainer.network.grow(target.blocks[index])
        trainer.rebuild()
        _step(trainer)(*batch)
        after_growth = time.perf_counter() - started
        yield figure(f"grow_block_{index}", after_growth - _usual(trainer, batch), "s to the next step", "", command)
    traces = trainer.step.num_traces
    for kernel in trainer.network.kernels():
        kernel.mask.assign(tf.cast(tf.random.stateless_uniform(kernel.mask.shape, (0, 1)) < 0.5, tf.float32))
    trainer.network.apply_masks()
    started = time.perf_counter()
    _step(trainer)(*batch)
    yield figure("prune", time.perf_counter() - started - _usual(trainer, batch), "s to the next step", "", command)
    retraced = trainer.step.num_traces - traces
    yield figure("prune_retraces", retraced, "traces", "<= 0", command)


def _architecture() -> Any:
    from kgrow.searching import SPACES

    return SPACES["compact"].build((32, 32, 3), 10)


def _trainer(num_blocks: int | None = None) -> tuple[Any, tuple[Any, Any]]:
    from kgrow.lifecycle import PRESETS
    from kgrow.lifecycle.trainer import Trainer
    from kgrow.network import GrowingNetwork
    from kgrow.task import Augmentation

    full = _architecture()
    network = GrowingNetwork(dataclasses.replace(full, blocks=full.blocks[:num_blocks]))
    trainer = Trainer(network, PRESETS["default"], Augmentation(shift=4, flip=True), seed=0)
    generator = np.random.default_rng(0)
    images = generator.normal(size=(128, 32, 32, 3)).astype(np.float32)
    return trainer, (images, generator.integers(0, 10, 128, dtype=np.int32))


def _step(trainer: Any) -> Callable[[Any, Any], Any]:
    from kgrow._keras import tf

    weights = tf.ones(len(trainer.network.blocks))
    return lambda images, labels: trainer.step(images, labels, weights).numpy()


def _usual(trainer: Any, batch: tuple[Any, Any]) -> float:
    step = _step(trainer)
    return _interleaved({"step": lambda: step(*batch)}, 5)["step"]


def _interleaved(steps: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Returns the median seconds of each step; in each round every step has its turn."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _train_seconds(preset: Any, num_images: int, ratio: float) -> float:
    from kgrow.lifecycle import Lifecycle, Settings
    from kgrow.lifecycle.settings import ChannelPruning
    from kgrow.pruning import SNIP
    from kgrow.registry import CHANNEL_CRITERIA
    from kgrow.run import Run
    from kgrow.task import Augmentation, Task
    from kgrow.training import Observer

    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (num_images, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(num_images, dtype=np.int32) % 10
    task = Task.of(
        (images, labels), validation_data=(images[:100], labels[:100]), test_data=(images[:100], labels[:100])
    )
    target = _architecture()
    channels = ChannelPruning(None, CHANNEL_CRITERIA["norm"](0))
    settings = Settings(preset, SNIP(), channels=channels, augmentation=Augmentation(shift=4, flip=True))
    with tempfile.TemporaryDirectory() as folder, Run.open(Path(folder) / "run", {}) as run:
        lifecycle = Lifecycle(task, target, (ratio,) * len(target.blocks), settings, run, Observer())
        started = time.monotonic()
        lifecycle.train()
        return time.monotonic() - started


def _plain_step(trainer: Any) -> Callable[[Any, Any], Any]:
    """Returns the same training step for a network of stock Keras layers, without masks."""
    from kgrow._keras import keras, tf
    from kgrow.training.loss import joint_loss

    model = _plain_network(trainer.network.architecture)
    preset = trainer.preset
    variables = model.trainable_variables
    optimizer = keras.optimizers.SGD(
        preset.learning_rate, preset.momentum, preset.nesterov, global_clipnorm=preset.clip_norm, jit_compile=False
    )
    optimizer.build(variables)
    weights = tf.ones(len(model.outputs))

    @tf.function(reduce_retracing=True)
    def step(images: Any, labels: Any) -> Any:
        images = trainer.augmentation.augment(images, tf.constant([0, 0]))
        with tf.GradientTape() as tape:
            loss = joint_loss(model(images, training=True), labels, weights, preset.label_smoothing)
        gradients = tape.gradient(loss, variables)
        decayed = [g + preset.l2 * v for g, v in zip(gradients, variables, strict=True)]
        optimizer.apply_gradients(zip(decayed, variables, strict=True))
        return loss

    return lambda images, labels: step(tf.constant(images), tf.constant(labels)).numpy()


def _plain_network(architecture: Any) -> Any:
    """Returns the same layers without wrappers."""
    from kgrow._keras import keras
    from kgrow.graph import IMAGE

    tensors = {IMAGE: keras.Input(architecture.input_shape)}
    for node in architecture.nodes:
        layer, inputs = node.operator.layer(node.name.replace("/", "_"), 0), [tensors[name] for name in node.inputs]
        tensors[node.name] = getattr(layer, "layer", layer)(inputs if len(inputs) > 1 else inputs[0])
    answers = [tensors[architecture.logits(head)] for head in range(len(architecture.blocks))]
    return keras.Model(tensors[IMAGE], answers)


MEASURES = {
    "masked_step": masked_step,
    "retracing": retracing,
    "growth": growth,
    "default": default,
    "digits": digits,
    "mnist": mnist,
    "cifar10_72k": cifar_72k,
    "cifar10_38k": cifar_38k,
}

if __name__ == "__main__":
    sys.exit(main(__doc__.split("\n", maxsplit=1)[0], MEASURES, REDUCTIONS))
