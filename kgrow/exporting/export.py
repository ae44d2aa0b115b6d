"""`export`: a network to a verified `.tflite` file with a report."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kgrow._checks import lookup
from kgrow._files import write_atomic
from kgrow.exporting.compact import compact
from kgrow.exporting.exporter import Exporter, check_exit_index
from kgrow.exporting.float32 import Float32
from kgrow.exporting.measure import Artefact, classify, gzip_size, latency_ms, runtime_name
from kgrow.network import GrowingNetwork
from kgrow.task import Task

# By the name used on the command line; each takes `exit_index` and `input_dtype`.
EXPORTERS: dict[str, Callable[..., Exporter]] = {"float32": Float32}

TOLERANCE = 1e-4
AGREEMENT = 0.999


class ExportError(RuntimeError):
    """The converted file does not answer as the network does; it was removed."""


def export(
    network: GrowingNetwork,
    task: Task,
    path: str | os.PathLike[str],
    quantization: str = "float32",
    exit_index: int | None = None,
) -> Artefact:
    """Writes one head of a network to a file, and proves on the test split that the file answers as the network does.

    What pruning made superfluous is removed before the conversion; the comparison is with the network as it was.
    A file that is there already is replaced only by one that passed.

    Args:
        network: Its pruned weights are set to zero; otherwise it is left alone.
        task: Gives the test split and the type of the raw pixels.
        path: Ends in ".tflite"; folders above it are made.
        quantization: A key of `EXPORTERS`.
        exit_index: The head that answers; the last one by default.

    Returns:
        What was measured on the written file.

    Raises:
        ValueError: If an argument is not usable, or network and task do not fit.
        ExportError: If the file's logits differ from the network's by more than float32 rounding can.
        OSError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> from kgrow.searching import SPACES
        >>> task = Task.of("digits")
        >>> network = GrowingNetwork(SPACES["compact"].build(task.input_shape, task.num_classes))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     artefact = export(network, task, f"{folder}/digits.tflite", exit_index=0)
        >>> artefact.quantization, artefact.max_abs_diff < 1e-4
        ('float32', True)
    """
    target = _check_path(path)
    exporter_of = lookup(EXPORTERS, quantization, "quantization")
    head = check_exit_index(network, exit_index)
    _check_task(network, task)
    network.apply_masks()
    model = exporter_of(exit_index=head, input_dtype=task.dtype.name).convert(compact(network, head))
    # Measured under another name, so that not even a kill leaves an unproven file at the path.
    unproven = target.with_name(f"{target.name}.unproven")
    try:
        write_atomic(unproven, model)
        logits = classify(unproven, task.test.images)
        max_abs_diff = _check_logits(logits, network.logits(task.test.images)[head])
        artefact = Artefact(
            path=str(target),
            quantization=quantization,
            bytes=unproven.stat().st_size,
            gzip_bytes=gzip_size(unproven.read_bytes()),
            test_accuracy=float(np.mean(logits.argmax(axis=-1) == task.test.labels)),
            latency_ms=latency_ms(unproven, task.test.images[0]),
            max_abs_diff=max_abs_diff,
            runtime=runtime_name(),
        )
        os.replace(unproven, target)
    finally:
        unproven.unlink(missing_ok=True)
    return artefact


def _check_path(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"`path` must name a file, but got the directory '{target}'. Add a name such as model.tflite.")
    if target.suffix != ".tflite":
        raise ValueError(f"`path` must end in '.tflite', but got '{target}'.")
    return target


def _check_task(network: GrowingNetwork, task: Task) -> None:
    reads = (network.architecture.input_shape, network.architecture.num_classes)
    if (task.input_shape, task.num_classes) != reads:
        raise ValueError(
            f"`task` must have images of {reads[0]} in {reads[1]} classes, as the network, but got {task!r}."
        )


def _check_logits(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns the largest difference between two (num_images, num_classes) arrays, or raises `ExportError`."""
    difference = float(np.max(np.abs(found - expected)))
    allowed = TOLERANCE * max(1.0, float(np.max(np.abs(expected))))
    if not difference <= allowed:  # so put, NaN fails too
        raise ExportError(
            f"The logits of the exported file differ from the network's by up to {difference:.3g}, more than the "
            f"{allowed:.3g} that float32 rounding explains. The file was removed."
        )
    # Two classes this close may change places: a network without any weight left gives all classes the same logit.
    second, first = np.sort(expected, axis=-1)[:, -2:].T
    is_same = (found.argmax(axis=-1) == expected.argmax(axis=-1)) | (first - second <= allowed)
    if np.mean(is_same) < AGREEMENT:
        raise ExportError(
            f"The exported file and the network disagree on {np.sum(~is_same)} of {len(is_same)} test images. "
            "The file was removed."
        )
    return difference
