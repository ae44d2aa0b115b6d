"""`export`: writes a network to a verified file or a bundle for a device, with a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kgrow._checks import lookup
from kgrow._keras import pinned
from kgrow.exporting import cut
from kgrow.exporting.bundle import check_target
from kgrow.exporting.compact import compact
from kgrow.exporting.exporter import Exporter, check_exit_index, converted_by
from kgrow.exporting.fine_tuning import FINE_TUNING, FineTuning
from kgrow.exporting.int8 import Int8
from kgrow.exporting.measure import Artefact
from kgrow.exporting.options import ExportOptions
from kgrow.exporting.proof import Converted, write_proved
from kgrow.exporting.quantized import MIN_IMAGES
from kgrow.exporting.verify import advice, network_answers
from kgrow.graph.values import digest_of
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import ExitRule
from kgrow.registry import EXPORTERS, blamed
from kgrow.run import Run
from kgrow.task import Task
from kgrow.training import Observer

REPRESENTATIVE_IMAGES = 512


def export(
    network: GrowingNetwork, task: Task, path: str | os.PathLike[str], options: ExportOptions | None = None
) -> Artefact:
    """Writes a network for a device after proving on the test split that the file's outputs match the network's.

    Parts that pruning made superfluous are removed before the conversion; the comparison is with the original network.
    Existing files are replaced only after the verification passes.

    Args:
        network: Network to export; its pruned weights are set to zero, and nothing else is changed.
        task: Data with the test split, representative images of the training split and the type of the raw pixels.
        path: Target file if it ends in ".tflite", else the folder of a bundle; see `kgrow.exporting.bundle`.
        options: Export options.

    Returns:
        Measurements of the written model.

    Raises:
        ValueError: If an argument is not usable, or network and task do not fit.
        ExportError: If the file's outputs differ too much from the network's.
        OSError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> from kgrow.searching import SPACES
        >>> task = Task.of("digits")
        >>> network = GrowingNetwork(SPACES["compact"].build(task.input_shape, task.num_classes))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     artefact = export(network, task, f"{folder}/digits.tflite", ExportOptions(exit_index=0))
        >>> artefact.quantization, artefact.max_abs_diff < 1e-4
        ('float32', True)
    """
    options = options or ExportOptions()
    return export_to(network, task, check_target(path, options), options)


@pinned()
def export_to(
    network: GrowingNetwork,
    task: Task,
    target: Path,
    options: ExportOptions,
    run: Run | None = None,
    observer: Observer | None = None,
) -> Artefact:
    """Exports to a path that was already checked, as a search does.

    Args:
        network: Network; see `export`.
        task: Data; see `export`.
        target: Target path.
        options: Export options; see `export`.
        run: Run that stores the epochs of fine-tuning until the export has ended, so that the same export resumes
            there; None writes none.
        observer: Observer that is notified of fine-tuning.
    """
    exporter = lookup(EXPORTERS, options.quantization, "quantization")
    head = check_exit_index(network, options.exit_index)
    _check_task(network, task)
    check_representative_dataset(task, options.quantization)
    pixels = options.pixels(task.dtype.name)
    network.apply_masks()
    heads = _live_heads(network, head) if options.early_exit else (head,)
    early_exit = options.early_exit and options.early_exit.of_heads(heads)
    folder = None if run is None else run.child(f"{FINE_TUNING}/{_identity(network, heads, options)}")
    if options.fine_tune_epochs:
        tune = FineTuning(
            task,
            heads,
            options.fine_tune_epochs,
            seed=options.seed,
            class_weights=options.class_weights,
            folder=folder,
            observer=observer,
        )
        exporter = Int8(tune=tune)
    smaller, images = compact(network, heads), representative_dataset(task, options.seed)
    # Runs before the conversion, because it may find that no threshold is cheap enough.
    rule = early_exit.resolve(network, task, heads, smaller.architecture) if early_exit else None
    converted = converted_by(exporter, smaller, heads, pixels, images)
    # The validation images decide which epoch of fine-tuning is kept, and when an image may exit early.
    is_decided = options.fine_tune_epochs > 0 or (early_exit is not None and len(early_exit.rules()) != 1)
    result = Converted(
        models=_cut(converted, heads, rule, options),
        expected=network_answers(network, task.test.images, heads, rule),
        exit_indices=heads,
        rule=rule,
        costs=[smaller.architecture.macs(index, passing=heads) for index in heads],
        advice=lambda: _advice(exporter, smaller, images),
        validation=None if is_decided else lambda: network_answers(network, task.validation.images, heads, rule),
    )
    artefact = write_proved(result, task, target, options)
    if folder is not None:
        folder.clear()
    return artefact


def check_representative_dataset(task: Task, quantization: str) -> None:
    """Raises ValueError if a task has too few training images to calibrate the ranges of 8-bit activations."""
    if quantization == "int8" and len(task.train) < MIN_IMAGES:
        raise ValueError(
            f"`dataset` must have at least {MIN_IMAGES} training images for an int8 file, but got {len(task.train)}. "
            "Add images, or choose `quantize='float32'`."
        )


def representative_dataset(task: Task, seed: int = 0) -> np.ndarray:
    """Returns raw training images to calibrate the ranges of activations: 512, or all if there are fewer."""
    size = min(REPRESENTATIVE_IMAGES, len(task.train))
    rows = np.random.default_rng((seed, size)).choice(len(task.train), size, replace=False)
    return np.asarray(task.train.images[np.sort(rows)])


def _live_heads(network: GrowingNetwork, last: int) -> tuple[int, ...]:
    """Returns the heads that may answer; heads before the last one with constant outputs are left out."""
    state = compact(network, range(last + 1)).state()
    return tuple(head for head in range(last + 1) if head == last or state[f"block_{head}/head/dense/kernel"].any())


def _identity(network: GrowingNetwork, heads: Sequence[int], options: ExportOptions) -> str:
    """Returns a name of what fine-tuning depends on; a trial that went on has another network."""
    settings = (*heads, options.fine_tune_epochs, options.seed, options.class_weights)
    return digest_of({**network.state(), "settings": np.frombuffer(repr(settings).encode(), np.uint8)})[:16]


def _advice(exporter: Exporter, network: GrowingNetwork, images: np.ndarray) -> str:
    with blamed(exporter):
        return advice(exporter.layer_errors(network, images), exporter.remedy)


def _cut(converted: bytes, heads: Sequence[int], rule: ExitRule | None, options: ExportOptions) -> list[bytes]:
    if rule is None:
        return [cut.one_head(converted, heads[-1], options.output_dtype, options.single_output)]
    if options.early_exit and options.early_exit.stages:
        return cut.stage_files(converted, heads)
    return [cut.early_exits(converted, heads, rule, options.output_dtype)]


def _check_task(network: GrowingNetwork, task: Task) -> None:
    reads = (network.architecture.input_shape, network.architecture.num_classes)
    if (task.input_shape, task.num_classes) != reads:
        raise ValueError(
            f"`task` must have images of {reads[0]} in {reads[1]} classes, as the network, but got {task!r}."
        )
