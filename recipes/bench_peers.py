"""Gives kgrow and other tools the same images, the same time and the same cores, and compares the files they end in.

    python recipes/bench_peers.py [--only NAME] [--photographs FOLDER] [--autokeras-python PATH] [--quick] [--json]

MNIST and 10 000 images of CIFAR-10 come from TensorFlow Datasets, photographs from a folder with `train` and `test`.
The peers are the ResNet-8 of MLPerf Tiny, written by hand and pruned to half of its connections by TensorFlow Model
Optimization; a small convolutional network searched by KerasTuner; and AutoKeras. Each tool runs in a process of its
own, sees the training images, holds some of them out to decide by, and leaves an int8 file. One function measures all
files on the test images, which choose nothing. Seconds are those of the whole process, imports included; a tool that
fails is reported with its error. AutoKeras needs other versions than kgrow:

    python -m venv autokeras
    autokeras/bin/pip install "autokeras==3.0.0" "keras==3.12.*" "tensorflow-cpu==2.20.*"
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from _bench import Figure, figure
from _peers import MODEL, TEST, TOOLS, TRAIN, Job, pairs
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

REDUCTIONS = "400 training and 200 test images of at most 32x32, half a minute per tool, AutoKeras only if it is named"
MINUTES, QUICK_MINUTES = {"mnist": 5.0, "cifar10": 17.0, "photographs": 10.0}, 0.5
NUM_CIFAR, SIDE = 10_000, 96
QUICK_IMAGES, QUICK_TEST_IMAGES, QUICK_SIDE = 400, 200, 32
GRACE_S, LONGEST_ERROR, LOG = 120.0, 300, "log.txt"
PEERS = Path(__file__).with_name("_peers.py")
WITHOUT_AUTOKERAS = (
    "needs an environment of its own: python -m venv autokeras; autokeras/bin/pip install autokeras==3.0.0 "
    "keras==3.12.* tensorflow-cpu==2.20.*; then --autokeras-python autokeras/bin/python"
)
UNITS = {
    "bytes": "bytes",
    "gzip_bytes": "bytes",
    "accuracy": "of the file, test images",
    "latency_ms": "ms, median",
    "macs": "per image",
    "seconds": "s, the whole process",
}
# Scale and digits in the table.
SHOWN = (
    ("bytes", 1, 0),
    ("gzip_bytes", 1, 0),
    ("accuracy", 100, 2),
    ("latency_ms", 1, 3),
    ("macs", 1e-6, 2),
    ("seconds", 1, 0),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What one tool made of the images with one seed: figures by name, or an error."""

    tool: str
    seed: int
    figures: dict[str, float]
    error: str = ""


def compare(name: str, options: argparse.Namespace, seed: int) -> Iterator[Row]:
    """Runs every tool on the same images, one after the other, and measures the files together."""
    minutes = options.minutes or (QUICK_MINUTES if options.quick else MINUTES[name])
    seconds: dict[str, float] = {}
    errors: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        apart(write_images, name, options, seed, folder)
        for tool in options.tools:
            job = Job(name, folder, str(Path(folder, tool)), minutes, seed, options.flash)
            python = options.autokeras_python if tool == "autokeras" else sys.executable
            seconds[tool], errors[tool] = run(tool, job, python) if python else (0.0, WITHOUT_AUTOKERAS)
            print(f"{name}, seed {seed}, {tool}: {seconds[tool]:.0f} s {errors[tool]}", file=sys.stderr, flush=True)
        files = {tool: Path(folder, tool, MODEL).read_bytes() for tool, error in errors.items() if not error}
        try:
            measured = apart(measure, files, folder)
        except BrokenProcessPool as failure:
            measured = {tool: {"error": f"cannot be measured: {failure}"} for tool in files}
    for tool, error in errors.items():
        figures = {} if error else measured[tool]
        error = error or figures.pop("error", "")
        yield Row(tool, seed, {**figures, "seconds": seconds[tool]} if not error else {}, error)


def apart(step: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a process of its own, so that this one stays small."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(step, *arguments).result()


def write_images(name: str, options: argparse.Namespace, seed: int, folder: str) -> None:
    """Writes the training images, of which every tool holds out some, and the test images."""
    from kgrow.task import Task

    if name == "photographs":
        task = Task.of(Path(options.photographs), image_size=QUICK_SIDE if options.quick else SIDE)
    else:
        task = Task.of(name)
    images = np.concatenate([task.train.images, task.validation.images])
    labels = np.concatenate([task.train.labels, task.validation.labels])
    count = QUICK_IMAGES if options.quick else NUM_CIFAR if name == "cifar10" else None
    rows = np.random.default_rng(seed).permutation(len(labels))[:count]
    np.savez(Path(folder, TRAIN), images=images[rows], labels=labels[rows])
    rows = np.random.default_rng(0).permutation(len(task.test))[: QUICK_TEST_IMAGES if options.quick else None]
    np.savez(Path(folder, TEST), images=np.asarray(task.test.images)[rows], labels=task.test.labels[rows])


def run(tool: str, job: Job, python: str) -> tuple[float, str]:
    """Runs a tool in a process of its own.

    Returns:
        Its wall seconds, and its error, empty if it left a file in time.
    """
    Path(job.out).mkdir()
    command = [python, str(PEERS), tool, json.dumps(dataclasses.asdict(job))]
    log, allowed = Path(job.out, LOG), 60 * job.minutes + GRACE_S
    started = time.monotonic()
    with log.open("wb") as file:
        try:
            done = subprocess.run(command, stdout=file, stderr=file, check=False, timeout=allowed)
            error = f"ended with code {done.returncode}: " if done.returncode else ""
        except subprocess.TimeoutExpired:
            return allowed, f"out of time, killed {GRACE_S:.0f} s after its {job.minutes:g} minutes"
        except OSError as failure:
            return 0.0, f"cannot be started: {failure.strerror}"
    seconds = time.monotonic() - started
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return seconds, error and error + (lines or ["without a word"])[-1].replace(job.data, ".")[:LONGEST_ERROR]


def measure(files: Mapping[str, bytes], folder: str) -> dict[str, dict[str, Any]]:
    """Measures the files of all tools; times are taken in turn."""
    from kgrow.benchmark import NUM_TIMED
    from kgrow.exporting import classify
    from kgrow.exporting.answers import DeviceModel
    from kgrow.exporting.cost import macs
    from kgrow.exporting.measure import gzip_size

    images, labels = pairs(folder, TEST)
    measured: dict[str, dict[str, Any]] = {}
    devices: dict[str, DeviceModel] = {}
    for tool, file in files.items():
        try:
            accuracy = float(np.mean(classify(file, images).argmax(axis=-1) == labels))
            devices[tool] = DeviceModel([file], (0,))
            devices[tool].run(images[:1])  # warms up
        except (KeyError, RuntimeError, ValueError) as error:
            measured[tool] = {"error": f"its file cannot be run: {error}"}
            continue
        measured[tool] = {"bytes": len(file), "gzip_bytes": gzip_size(file), "accuracy": accuracy, "macs": macs(file)}
    times = np.array([[device.time(image) for device in devices.values()] for image in images[:NUM_TIMED]])
    for tool, milliseconds in zip(devices, times.T, strict=True):
        measured[tool]["latency_ms"] = float(np.median(milliseconds))
    return measured


def summary(name: str, rows: Sequence[Row]) -> Iterator[Figure]:
    """Figures of one data set: means over the seeds, and goals for kgrow's against those of the peers."""
    command = f"python recipes/bench_peers.py --only {name}"
    means: dict[str, dict[str, float]] = {}
    for tool in dict.fromkeys(row.tool for row in rows):
        found = [row.figures for row in rows if row.tool == tool and row.figures]
        means[tool] = {what: statistics.mean(figures[what] for figures in found) for what in UNITS if found}
    peers = [figures for tool, figures in means.items() if tool != "kgrow" and figures]
    goals = {}
    if peers:
        goals["accuracy"] = f">= {max(figures['accuracy'] for figures in peers)!r}"
        goals["bytes"] = f"<= {min(figures['bytes'] for figures in peers) / 2!r}"
    for tool, figures in means.items():
        for what, value in figures.items():
            goal = goals.get(what, "") if tool == "kgrow" else ""
            yield figure(f"{name}_{tool}_{what}", value, UNITS[what], goal, command)
    if goals and not means.get("kgrow", True):
        yield Figure(f"{name}_kgrow_accuracy", 0.0, UNITS["accuracy"], goals["accuracy"], False, command)
    for row in rows:
        if row.error:
            yield figure(f"{name}_{row.tool}_failed", 1, f"seed {row.seed}: {row.error}", "", command)


def table(rows: Mapping[str, Sequence[Row]]) -> Table:
    """Returns one line per data set, seed and tool."""
    made = Table(title="The same images, time and cores", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("data", "seed", "tool", "bytes", "gzip", "test %", "ms", "M MACs", "s"):
        made.add_column(column, justify="left" if column in ("data", "tool") else "right", no_wrap=True)
    for name, those in rows.items():
        for row in those:
            cells = [f"{row.figures[what] * scale:.{digits}f}" if row.figures else "-" for what, scale, digits in SHOWN]
            made.add_row(name, str(row.seed), row.tool, *cells)
        made.add_section()
    return made


def use_cores(count: int | None) -> None:
    """Limits this process, and with it all that it starts, to as many cores, and libraries to as many threads."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))[:count]
        os.sched_setaffinity(0, cores)
        count = len(cores)
    count = count or os.cpu_count() or 1
    for library in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[library] = str(count)
    os.environ |= {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}


def parsed() -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=sorted(MINUTES), help="compare on one data set")
    parser.add_argument("--tools", type=lambda text: text.split(","), help=f"such as {','.join(TOOLS)}, the default")
    parser.add_argument("--photographs", metavar="FOLDER", help="photographs, in `train` and `test`")
    parser.add_argument("--autokeras-python", metavar="PATH", help="Python of the environment of AutoKeras")
    parser.add_argument("--minutes", type=float, help="of each tool (default: 5, 17 and 10)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N - 1 (default: 1)")
    parser.add_argument("--cores", type=int, metavar="N", help="cores of each tool (default: all)")
    parser.add_argument("--flash", metavar="SIZE", help="limit of kgrow's file, such as 16KB (default: none)")
    parser.add_argument("--quick", action="store_true", help=f"a reduced run: {REDUCTIONS}")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    options = parser.parse_args()
    if options.tools is None:
        options.tools = [tool for tool in TOOLS if tool != "autokeras" or options.autokeras_python or not options.quick]
    if unknown := set(options.tools) - set(TOOLS):
        parser.error(f"--tools must be some of {', '.join(TOOLS)}, but got {', '.join(sorted(unknown))}")
    if options.only == "photographs" and options.photographs is None:
        parser.error("--only photographs needs the folder with them: --photographs FOLDER")
    return options


def main() -> int:
    """Compares and returns the exit code: 0, or 1 if a goal is missed; a reduced run has no verdicts."""
    options = parsed()
    if options.quick:
        print(f"Reduced run: {REDUCTIONS}", file=sys.stderr)
    use_cores(options.cores)
    names = [options.only] if options.only else [name for name in MINUTES if name != "photographs"]
    names += ["photographs"] * (options.only is None and options.photographs is not None)
    rows = {name: [row for seed in range(options.seeds) for row in compare(name, options, seed)] for name in names}
    figures = [each for name in names for each in summary(name, rows[name])]
    if options.quick:
        figures = [dataclasses.replace(each, met=None) for each in figures]
    if options.json:
        print(json.dumps([dataclasses.asdict(each) for each in figures], indent=2))
    else:
        Console().print(table(rows))
        for each in figures:
            if each.met is not None:
                print(f"{each.figure}: {each.value:.6g} {each.goal}: {'met' if each.met else 'missed'}")
            elif each.figure.endswith("_failed"):
                print(f"{each.figure}: {each.unit}")
    return int(any(each.met is False for each in figures))


if __name__ == "__main__":
    sys.exit(main())
