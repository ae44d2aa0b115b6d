"""`write_proved`: runs and measures a converted model, and writes it only if its outputs pass the checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgrow.exporting.answers import Answers, DeviceModel
from kgrow.exporting.bundle import describe, local_of, self_describing, write
from kgrow.exporting.cost import arena_bytes, macs
from kgrow.exporting.measure import Artefact, gzip_size, runtime_name
from kgrow.exporting.memory_plan import with_plan
from kgrow.exporting.micro import require_micro
from kgrow.exporting.options import ExportOptions
from kgrow.exporting.verify import check_drop, check_equal, check_same, lost_images
from kgrow.network.early_exit import ExitRule, softmax
from kgrow.task import Task
from kgrow.uncertainty import interval


@dataclasses.dataclass(frozen=True)
class Converted:
    """Models for a device, with their expected outputs.

    Args:
        models: Content of the file, or of one file per stage.
        expected: Expected outputs over the test split.
        exit_indices: Heads that may answer.
        rule: Rule that decides which head answers; None without early exits.
        costs: Multiply-accumulates of an image that stops at each of the heads.
        advice: Function that returns advice for too large a loss by quantization.
        validation: Function that returns the expected outputs over the validation split; None if these images decided
            something in the export and therefore cannot judge it.
    """

    models: Sequence[bytes]
    expected: Answers
    exit_indices: Sequence[int]
    rule: ExitRule | None
    costs: Sequence[int]
    advice: Callable[[], str]
    validation: Callable[[], Answers] | None = None


def write_proved(converted: Converted, task: Task, target: Path, options: ExportOptions) -> Artefact:
    """Runs models over the test split, and writes them if their outputs pass the checks.

    Args:
        converted: Converted models.
        task: Data with the test split.
        target: Path that `check_target` returned.
        options: Export options.

    Returns:
        Measurements of the written models.

    Raises:
        ValueError: If `options.micro` is set and a model cannot run there.
        ExportError: If the outputs differ too much from the expected ones; nothing is written then.
        OSError: If the file cannot be written.
    """
    if options.single_output:
        probabilities = dataclasses.replace(converted.expected, values=softmax(converted.expected.values))
        converted = dataclasses.replace(converted, expected=probabilities)
    models = [with_plan(model) for model in converted.models]
    heads, rule = converted.exit_indices, converted.rule
    if options.micro:
        require_micro(models, options.quantization)
    found = DeviceModel(models, heads, rule).run(np.asarray(task.test.images))
    artefact = _measured(converted, models, found, task.test.labels, target, options)
    if options.quantization == "float32":
        check_equal(found, converted.expected)
    elif options.max_drop < 1:
        lost = _lost(converted, models, found, task)
        check_drop(lost, options.max_drop, options.quantization, converted.advice)
    description = describe(artefact, task, options)
    written = [self_describing(model, description) for model in models]
    check_same(DeviceModel(written, heads, rule), task.test.images, found)
    write(target, written, description, local_of(models, target, options.name, artefact))
    return dataclasses.replace(artefact, bytes=sum(map(len, written)), gzip_bytes=sum(map(gzip_size, written)))


def _lost(converted: Converted, models: Sequence[bytes], found: Answers, task: Task) -> np.ndarray:
    """Returns `lost_images` of the test images, and of the validation images if they decided nothing."""
    lost = lost_images(converted.expected.classes, found.classes, task.test.labels)
    if converted.validation is None:
        return lost
    again = DeviceModel(models, converted.exit_indices, converted.rule).run(np.asarray(task.validation.images))
    more = lost_images(converted.validation().classes, again.classes, task.validation.labels)
    return np.concatenate([lost, more])


def _measured(
    converted: Converted,
    models: Sequence[bytes],
    found: Answers,
    labels: np.ndarray,
    target: Path,
    options: ExportOptions,
) -> Artefact:
    expected = converted.expected
    accuracy = float(np.mean(found.classes == labels))
    return Artefact(
        path=str(target),
        quantization=options.quantization,
        bytes=0,  # set once the description is included
        gzip_bytes=0,
        test_accuracy=accuracy,
        test_accuracy_interval=list(interval(accuracy, len(labels))),
        accuracy_drop=float(np.mean(expected.classes == labels)) - accuracy,
        agreement=float(np.mean(found.classes == expected.classes)),
        max_abs_diff=float(np.max(np.abs(found.values - expected.values))),
        latency_ms=float(np.median(found.milliseconds)),
        latency_p95_ms=float(np.percentile(found.milliseconds, 95)),
        ram_bytes=max(arena_bytes(model) for model in models),
        macs=sum(macs(model) for model in models),
        exit_index=converted.exit_indices[-1],
        early_exit=None if converted.rule is None else _exits(converted.rule, converted, found),
        fine_tune_epochs=options.fine_tune_epochs,
        runtime=runtime_name(),
    )


def _exits(rule: ExitRule, converted: Converted, found: Answers) -> dict[str, Any]:
    heads = converted.exit_indices
    stopped = [found.exits == head for head in heads]
    return {
        **rule.to_json(),
        "exit_indices": list(heads),
        "mean_macs": float(np.mean(np.asarray(converted.costs)[np.searchsorted(heads, found.exits)])),
        "mean_latency_ms": float(np.mean(found.milliseconds)),
        "exits": [float(np.mean(there)) for there in stopped],
        "latency_ms": [float(np.median(found.milliseconds[there])) if there.any() else None for there in stopped],
    }
