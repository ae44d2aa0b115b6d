"""`benchmark`: side-by-side measurements of the files of a run or of any exported file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kgrow_device.run import usable_threads

from kgrow._checks import check_path, check_positive_int
from kgrow._keras import pinned
from kgrow._rules import checked, optional
from kgrow.exporting import EXPORTERS
from kgrow.exporting.answers import DeviceModel
from kgrow.exporting.bundle import read_bundle
from kgrow.exporting.cost import arena_bytes, macs
from kgrow.exporting.measure import gzip_size, runtime_name
from kgrow.network.early_exit import ExitRule
from kgrow.result import Result, load
from kgrow.run import RESULT
from kgrow.task import Task
from kgrow.task.arguments import RULES as DATA
from kgrow.uncertainty import interval

NUM_TIMED = 200
WITH_EXITS = " + exits"


@pinned()
@checked({**DATA, "path": check_path, "dataset": optional(DATA["dataset"]), "num_threads": check_positive_int})
def benchmark(
    path: str | os.PathLike[str],
    dataset: Any = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    num_threads: int = 1,
) -> dict[str, Any]:
    """Measures every format of a finished search, or one exported file or folder.

    Each image is timed on every file in turn, so that the times of one table can be compared.

    Args:
        path: A run directory, a folder that `export` wrote, or a `.tflite` file of kgrow's.
        dataset: Data of the run, for accuracies; the run remembers names and folders. Without data a file is timed on
            random pixels and has no accuracy.
        data_dir: Directory of TensorFlow Datasets' data.
        num_threads: Threads per inference; at most the number of the machine's cores is used.

    Returns:
        `runtime`, `num_threads`, `task`, `is_same_data` (whether the data are those that the network was made from,
        with the same split; the network may have been trained on some of any other test images) and `rows`: per file
        `format`, `bytes`, `gzip_bytes`, `test_accuracy`, `test_accuracy_interval` (95 %), `latency_ms` (median),
        `latency_p95_ms`, `mean_latency_ms`, `ram_bytes`, `macs`, and the `error` of a format that could not be
        exported.

    Raises:
        FileNotFoundError: If there is no such run, folder or file.
        ValueError: If a file is damaged or was not made by kgrow.
    """
    num_threads = usable_threads(num_threads)
    source = Path(path)
    if (source / RESULT).is_file():
        result = load(source, dataset, data_dir=data_dir)
        task: Task | None = result.task
        is_same_data = True
        files, errors = _all_formats(result)
    else:
        description, models = read_bundle(source)
        task = None if dataset is None else _task_for(description, dataset, data_dir)
        if task is not None and list(task.class_names) != description["classes"]:
            raise ValueError(
                f"`dataset` must have the classes of the model, {', '.join(description['classes'])}, but got {task!r} "
                f"with {', '.join(task.class_names)}."
            )
        is_same_data = task is not None and task.fingerprint == description["fingerprint"]
        name = description["quantization"] + (WITH_EXITS if description["early_exit"] else "")
        files, errors = {name: (description, models)}, {}
    rows = [_row(name, *file, task) for name, file in files.items()]
    if files:
        _time(rows, [_device(*file, num_threads) for file in files.values()], next(iter(files.values()))[0], task)
    rows += [{"format": name, "error": error} for name, error in errors.items()]
    return {
        "runtime": runtime_name(),
        "num_threads": num_threads,
        "task": None if task is None else task.name,
        "is_same_data": None if task is None else is_same_data,
        "rows": rows,
    }


File = tuple[Mapping[str, Any], list[bytes]]


def _task_for(description: Mapping[str, Any], dataset: Any, data_dir: Any) -> Task:
    if isinstance(dataset, Task):
        return dataset
    height, width, _ = description["input"]["shape"]
    return Task.of(dataset, data_dir=data_dir, image_size=(height, width))


def _all_formats(result: Result) -> tuple[dict[str, File], dict[str, str]]:
    wanted = [(name, False) for name in EXPORTERS] + [(name, True) for name in ("float32", "int8")]
    files: dict[str, File] = {}
    errors: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (quantization, early_exit) in enumerate(wanted):
            name = quantization + (WITH_EXITS if early_exit else "")
            target = Path(folder) / f"{number}.tflite"
            try:
                result.export(target, quantization, early_exit=early_exit)
                files[name] = read_bundle(target)
            except (RuntimeError, ValueError) as error:  # the other formats are still measured
                errors[name] = str(error)
    return files, errors


def _device(description: Mapping[str, Any], models: Sequence[bytes], num_threads: int) -> DeviceModel:
    exits = description["early_exit"]
    heads = exits["exit_indices"] if exits else (description["exit_index"],)
    rule = ExitRule(exits["threshold"], exits["fallback"]) if exits else None
    device = DeviceModel(models, heads, rule, num_threads)
    shape, said = device.interpreters[0].get_input_details()[0]["shape"].tolist()[1:], description["input"]["shape"]
    if shape != said:
        raise ValueError(f"`path` must hold a model of images of shape {said}, as it says of itself, but got {shape}.")
    return device


def _row(name: str, description: Mapping[str, Any], models: Sequence[bytes], task: Task | None) -> dict[str, Any]:
    accuracy = None
    if task is not None:
        answers = _device(description, models, 1).run(np.asarray(task.test.images))
        accuracy = float(np.mean(answers.classes == task.test.labels))
    return {
        "format": name,
        "bytes": sum(map(len, models)),
        "gzip_bytes": sum(map(gzip_size, models)),
        "test_accuracy": accuracy,
        "test_accuracy_interval": None if task is None else list(interval(accuracy or 0.0, len(task.test))),
        "ram_bytes": max(map(arena_bytes, models)),
        "macs": sum(map(macs, models)),
    }


def _time(
    rows: Sequence[dict[str, Any]], devices: Sequence[DeviceModel], description: Mapping[str, Any], task: Task | None
) -> None:
    """Adds times to the rows."""
    if task is None:
        dtype, shape = description["input"]["dtype"], description["input"]["shape"]
        images = np.random.default_rng(0).integers(0, 256, (NUM_TIMED, *shape)).astype(dtype)
    else:
        images = np.asarray(task.test.images[:NUM_TIMED])
    for device in devices:
        device.run(images[:1])  # warms up
    times = np.array([[device.time(image) for device in devices] for image in images])
    for row, milliseconds in zip(rows, times.T, strict=True):
        row["latency_ms"] = float(np.median(milliseconds))
        row["latency_p95_ms"] = float(np.percentile(milliseconds, 95))
        row["mean_latency_ms"] = float(np.mean(milliseconds))
