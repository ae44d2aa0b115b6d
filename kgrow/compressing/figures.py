"""What is said of a model before and after."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import kgrow
from kgrow._keras import keras
from kgrow.compressing.graph import Graph, Values, outputs
from kgrow.compressing.plan import Plan
from kgrow.task import Split, Task


def accuracy(model: keras.Model, split: Split) -> float:
    """Returns the fraction of images that a model answers rightly."""
    return float(np.mean(outputs(model, split.images).argmax(axis=-1) == split.labels))


def figures(graph: Graph, values: Values, model: keras.Model, task: Task) -> dict[str, Any]:
    """Returns what a model reaches and costs.

    Args:
        graph: Its layers.
        values: Its weights.
        model: Built of both.
        task: Gives validation and test split.
    """
    kernels = [value for name, value in values.items() if name.endswith("kernel")]
    return {
        "val_accuracy": accuracy(model, task.validation),
        "test_accuracy": accuracy(model, task.test),
        "params": int(model.count_params()),
        "kept_params": sum(int(np.count_nonzero(kernel)) for kernel in kernels),
        "macs": graph.macs(values),
    }


def document(
    name: str, task: Task, plan: Plan, before: tuple[Graph, dict[str, Any]], after: tuple[Graph, dict[str, Any]]
) -> dict[str, Any]:
    """Returns `Compressed.document`: plain JSON values.

    Args:
        name: Of the model.
        task: The data.
        plan: How it was compressed.
        before: The graph and its figures.
        after: The same, narrower.
    """
    widths = {node.name: node.shape[-1] for node in after[0].nodes}
    layers = [
        {"name": node.name, "channels_before": node.shape[-1], "channels_after": widths[node.name]}
        for node in before[0].nodes
        if any(kind.endswith("kernel") for kind in node.kernel_sides(np.zeros(0), np.zeros(0), 0))
    ]
    config = {key: value for key, value in vars(plan).items() if key != "seed"}
    objects = {key: repr(config[key]) for key in ("channel_criterion", "criterion")}
    return {
        "kgrow_version": kgrow.__version__,
        "model": name,
        "task": task.name,
        "seed": plan.seed,
        "config": {**config, **objects, "augmentation": dataclasses.asdict(plan.augmentation)},
        "before": before[1],
        "after": after[1],
        "layers": layers,
    }
