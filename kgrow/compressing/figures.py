"""Figures of a model before and after compression."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kgrow._version import __version__
from kgrow.compressing.plan import CompressionPlan
from kgrow.graph import Architecture
from kgrow.graph.keras_models import KerasModel
from kgrow.graph.values import digest_of
from kgrow.network import GrowingNetwork
from kgrow.run import described
from kgrow.task import Split, Task


def accuracy(network: GrowingNetwork, split: Split) -> float:
    """Returns the fraction of images that a network classifies correctly."""
    return float(np.mean(network.logits(split.images)[-1].argmax(axis=-1) == split.labels))


def figures(network: GrowingNetwork, task: Task) -> dict[str, Any]:
    """Returns the accuracies and the costs of a network.

    Args:
        network: The network.
        task: Data with validation and test split.
    """
    return {
        "val_accuracy": accuracy(network, task.validation),
        "test_accuracy": accuracy(network, task.test),
        "params": network.architecture.params(),
        "kept_params": sum(int(np.count_nonzero(kernel.weight.numpy())) for kernel in network.kernels()),
        "macs": network.architecture.macs(),
    }


def document(
    name: str,
    task: Task,
    plan: CompressionPlan,
    before: tuple[Architecture, dict[str, Any]],
    after: tuple[Architecture, dict[str, Any]],
) -> dict[str, Any]:
    """Returns `Compressed.document`: plain JSON values.

    Args:
        name: Name of the model.
        task: Data of the fine-tuning.
        plan: Compression plan.
        before: Architecture and figures before the compression.
        after: Architecture and figures after it.
    """
    layers = [
        {
            "name": kernel.name,
            "channels_before": before[0].shapes[kernel.name][-1],
            "channels_after": after[0].shapes.get(kernel.name, (0,))[-1],
        }
        for kernel in before[0].kernels()
    ]
    return {
        "kgrow_version": __version__,
        "model": name,
        "task": task.name,
        "seed": plan.seed,
        "config": _config(plan),
        "before": before[1],
        "after": after[1],
        "layers": layers,
    }


def identity(given: KerasModel, task: Task, plan: CompressionPlan) -> dict[str, Any]:
    """Returns the values that two calls must share to resume each other's training: plain JSON values.

    Args:
        given: Model to compress.
        task: Data of the fine-tuning.
        plan: Compression plan.
    """
    return {
        "task": {"name": task.name, "fingerprint": task.fingerprint},
        "architecture": given.weighted.architecture.to_json(),
        "weights": digest_of(given.weighted.state),
        "plan": _config(plan) | {"seed": plan.seed},
    }


def _config(plan: CompressionPlan) -> dict[str, Any]:
    config = {key: value for key, value in vars(plan).items() if key != "seed"}
    objects = {key: described(config[key]) for key in ("channel_criterion", "criterion")}
    return {**config, **objects, "augmentation": dataclasses.asdict(plan.augmentation)}
