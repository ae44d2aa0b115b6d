"""Measures what is exported: bytes, accuracy, latency and RAM of files, on one thread of this machine.

    python recipes/bench_deploy.py [--only NAME] [--quick] [--json]

MNIST and CIFAR-10 come from TensorFlow Datasets. Accuracies are those of the exported file on the test split, which
chooses nothing; times of one figure are taken in turn in one process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _bench import Figure, figure, main

REDUCTIONS = "one seed, MNIST in one trial of two epochs, CIFAR-10 in one epoch (goals of accuracy are out of reach)"
DIGITS = ["digits", "--limit", "flash=12KiB", "--trials", "8"]
MNIST = ["mnist", "--epochs", "6", "--limit", "flash=24KiB", "--trials", "4"]
ROUNDS = 300


def kgrow(*arguments: str) -> dict[str, Any]:
    """Runs a command of kgrow in a process of its own and returns the document it prints."""
    done = subprocess.run([sys.executable, "-m", "kgrow", *arguments, "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def digits(quick: bool) -> Iterator[Figure]:
    """Bytes and accuracy of an int8 file for digits."""
    yield from _int8("digits", DIGITS, "<= 12288", ">= 0.975", 1 if quick else 3)


def mnist(quick: bool) -> Iterator[Figure]:
    """Bytes and accuracy of an int8 file for MNIST."""
    yield from _int8(
        "mnist", [*MNIST, *(["--epochs", "2", "--trials", "1"] if quick else [])], "<= 24576", ">= 0.99", 1
    )


def _int8(name: str, arguments: Sequence[str], size: str, accuracy: str, num_seeds: int) -> Iterator[Figure]:
    artefacts = []
    for seed in range(num_seeds):
        with tempfile.TemporaryDirectory() as folder:
            run = str(Path(folder) / "run")
            result = kgrow("search", *arguments, "--seed", str(seed), "--out", run, "--verbose", "0")
            artefacts.append(result["best"]["artefacts"][0])
    command = f"kgrow search {' '.join(arguments)} --seed 0..{num_seeds - 1}"
    accuracies = [artefact["test_accuracy"] for artefact in artefacts]
    yield figure(f"{name}_bytes", max(artefact["bytes"] for artefact in artefacts), "bytes", size, command)
    yield figure(f"{name}_accuracy", float(np.mean(accuracies)), "mean over seeds", accuracy, command)
    yield figure(f"{name}_accuracy_std", float(np.std(accuracies)), "std over seeds", "", command)
    yield figure(f"{name}_ram", max(artefact["ram_bytes"] for artefact in artefacts), "bytes", "", command)


def structured(quick: bool) -> Iterator[Figure]:
    """Latency and bytes of the default network for CIFAR-10 at half its MACs, against the whole one, int8.

    Neither depends on the values of the weights, so nothing is trained. Kernels of 8 bits compute 8 or 16 channels at a
    time, so widths are multiples; those of 4 are measured for comparison.
    """
    whole, images = _cifar_network(), _noise()
    networks = {"whole": whole, "structured": _half(whole, multiple_of=16), "structured_4": _half(whole, multiple_of=4)}
    files = {name: _int8_file(network, images) for name, network in networks.items()}
    times = _in_turn(files, images)
    command = "python recipes/bench_deploy.py --only structured"
    for name, goals in {"structured": ("<= 0.5", "<= 0.6", "<= 0.6"), "structured_4": ("", "", "")}.items():
        costs = {
            "macs": _macs(networks[name]) / _macs(whole),
            "latency": times[name] / times["whole"],
            "bytes": len(files[name]) / len(files["whole"]),
        }
        for (what, cost), goal in zip(costs.items(), goals, strict=True):
            yield figure(f"{name}_{what}", cost, "of the whole network's", goal, command)
    yield figure("whole_latency", times["whole"], "ms", "", command)


def never_exits(quick: bool) -> Iterator[Figure]:
    """What early exits cost a file that never takes one: latency and int8 arena against the plain file's."""
    from kgrow.exporting import EXPORTERS, cut
    from kgrow.exporting.cost import arena_bytes
    from kgrow.exporting.memory_plan import with_plan
    from kgrow.network.early_exit import ExitRule

    network, images = _cifar_network(), _noise()
    heads = range(len(network.architecture.blocks))
    converted = EXPORTERS["int8"].convert(network, heads, "uint8", images)
    plain, exits = cut.one_head(converted, heads[-1]), cut.early_exits(converted, heads, ExitRule(1.01))
    files = {"plain": with_plan(plain), "exits": with_plan(exits)}
    times = _in_turn(files, images)
    command = "python recipes/bench_deploy.py --only never_exits"
    yield figure("never_exits_latency", times["exits"] / times["plain"], "of the plain file's", "<= 1.10", command)
    arena = arena_bytes(files["exits"]) / arena_bytes(files["plain"])
    yield figure("never_exits_arena", arena, "of the plain file's", "<= 1.05", command)


def early_exit(quick: bool) -> Iterator[Figure]:
    """Mean latency and accuracy of early exits on CIFAR-10, measured by the device's own program."""
    arguments = ["cifar10", "--space", "cascade", "--preset", "early_exit", "--keep-ratio", "1"]
    arguments += ["--epochs", "1"] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        kgrow("search", *arguments, "--out", run, "--verbose", "2")
        for name, options in {"plain": [], "exits": ["--early-exit"]}.items():
            kgrow("export", run, "--quantize", "int8", "--max-drop", "100", *options, "--out", str(Path(folder) / name))
        reports = {name: _on_device(Path(folder), name) for name in ("plain", "exits")}
    command = f"kgrow search {' '.join(arguments)}; kgrow export RUN --quantize int8 --early-exit; export/benchmark.py"
    latency = reports["exits"]["latency_ms"]["mean"] / reports["plain"]["latency_ms"]["mean"]
    lost = 100 * (reports["plain"]["accuracy"] - reports["exits"]["accuracy"])
    yield figure("early_exit_latency", latency, "of the full network's, mean", "<= 0.7", command)
    yield figure("early_exit_lost", lost, "points of accuracy", "<= 0.5", command)
    yield figure("full_accuracy", reports["plain"]["accuracy"], "int8 file, one seed", "", command)


def _on_device(folder: Path, name: str) -> dict[str, Any]:
    from kgrow.task import Task

    if not (folder / "images.npy").exists():
        test = Task.of("cifar10").test
        np.save(folder / "images.npy", test.images)
        np.save(folder / "labels.npy", test.labels)
    program = Path(__file__).parents[1] / "export" / "benchmark.py"
    data = ["--images", str(folder / "images.npy"), "--labels", str(folder / "labels.npy")]
    command = [sys.executable, str(program), "--model", str(folder / name), *data, "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def _cifar_network() -> Any:
    from kgrow.network import GrowingNetwork
    from kgrow.searching import SPACES

    return GrowingNetwork(SPACES["compact"].build((32, 32, 3), 10))


def _half(whole: Any, multiple_of: int) -> Any:
    """Returns a network whose channels are pruned until it has half the MACs."""
    from kgrow.network import GrowingNetwork
    from kgrow.pruning import CHANNEL_CRITERIA, prune_channels

    half, ratio = GrowingNetwork(whole.architecture), 1.0
    while _macs(half) > 0.5 * _macs(whole):
        ratio -= 0.02
        prune_channels(half, dict.fromkeys(range(4), ratio), CHANNEL_CRITERIA["norm"](0), [], None, multiple_of)
    return half


def _noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)


def _macs(network: Any) -> int:
    from kgrow.exporting import compact

    return compact(network, (len(network.blocks) - 1,)).architecture.macs()


def _int8_file(network: Any, images: np.ndarray) -> bytes:
    from kgrow.exporting import EXPORTERS, compact, cut

    head = len(network.blocks) - 1
    return cut.one_head(EXPORTERS["int8"].convert(compact(network, (head,)), (head,), "uint8", images), head)


def _in_turn(files: dict[str, bytes], images: np.ndarray) -> dict[str, float]:
    """Returns the median milliseconds of each file; for each image every file has its turn."""
    from kgrow.exporting.answers import DeviceModel

    heads = {"exits": range(4)}
    devices = {name: DeviceModel([content], heads.get(name, (3,))) for name, content in files.items()}
    for device in devices.values():
        device.run(images[:1])  # warms up
    times: dict[str, list[float]] = {name: [] for name in files}
    for number in range(ROUNDS):
        for name, device in devices.items():
            times[name].append(device.time(images[number % len(images)]))
    return {name: float(np.median(values)) for name, values in times.items()}


MEASURES = {
    "digits": digits,
    "mnist": mnist,
    "structured": structured,
    "never_exits": never_exits,
    "early_exit": early_exit,
}

if __name__ == "__main__":
    sys.exit(main(__doc__.split("\n", maxsplit=1)[0], MEASURES, REDUCTIONS))
