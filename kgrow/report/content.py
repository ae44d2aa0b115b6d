"""What a report of a search says, as plain values that a page and its script can show."""

from __future__ import annotations

import base64
import io
import platform
import shlex
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow.network.early_exit import ExitRule, answering_head, outcomes
from kgrow.reporting.mistakes import surest_mistakes
from kgrow.reporting.timeline import timeline
from kgrow.reporting.wording import one_line
from kgrow.task.preview import shown_pixels
from kgrow.task.wording import printable
from kgrow.uncertainty import interval

if TYPE_CHECKING:
    from kgrow.network import GrowingNetwork
    from kgrow.task import Task

# Classes up to which the whole confusion matrix is shown; of more, those with the most mistakes.
MOST_CLASSES = 30
# Example images: for each exit, and of the surest mistakes; sides in pixels.
PER_EXIT, LONGEST_SIDE = 6, 96
EXAMPLE_THRESHOLD, NUM_THRESHOLDS = 0.9, 101
MARKS = ("grew", "pruned", "cut", "resized", "removed", "widened", "inserted", "traded", "regrew")
PACKAGES = ("tensorflow", "tf_keras", "keras-tuner", "tensorflow-model-optimization", "ai-edge-litert", "numpy")


def candidates_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the trials with an accuracy, for the picture of the candidates."""
    front = {trial["trial"] for trial in document["pareto"]}
    return [
        {
            "trial": trial["trial"],
            "status": trial["status"],
            "accuracy": trial["val_accuracy"],
            "interval": trial["val_accuracy_interval"],
            "bytes": trial["flash_bytes"],
            "ram": trial["ram_bytes"],
            "macs": trial["macs"],
            "kept": trial["kept_params"],
            "values": {name: value for name, value in trial["values"].items()},
            "epochs": trial["epochs"],
            "on_front": trial["trial"] in front,
            "is_best": trial["trial"] == document["best"]["trial"],
            "error": None if trial["error"] is None else one_line(trial["error"]),
        }
        for trial in document["candidates"]
        if trial["val_accuracy"] is not None
    ]


def training_of(events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Returns learning curves, structural changes and the timeline of a training; None before its first epoch."""
    ended = [event for event in events if event["event"] == "epoch"]
    if not ended:
        return None
    heads = max(len(event["val_accuracy"]) for event in ended)
    shown = timeline(events)
    changes: dict[tuple[int, str], dict[str, Any]] = {}
    kept: Sequence[int] = ()
    for event in events:
        if "change" not in event:
            continue
        # Pruning to a keep ratio of 1 changes nothing.
        if event["event"] in MARKS and (event["event"] != "pruned" or event["kept_params"] != kept):
            changes[event["epoch"], event["event"]] = {"epoch": event["epoch"] + 1, "what": event["event"]}
        kept = event["kept_params"]
    return {
        "epochs": [event["epoch"] + 1 for event in ended],
        "heads": [
            [event["val_accuracy"][head] if head < len(event["val_accuracy"]) else None for event in ended]
            for head in range(heads)
        ],
        "changes": list(changes.values()),
        "alive": shown.alive.T.tolist(),
        "born": shown.born.sum(axis=1).tolist(),
        "died": shown.died.sum(axis=1).tolist(),
        "settled": None if shown.settled is None else shown.settled + 1,
    }


def kernels_of(network: GrowingNetwork) -> list[dict[str, Any]]:
    """Returns the kernels of a network, in order: their sizes, and what is kept of them."""
    kept = {kernel.name: kernel.kept for kernel in network.kernels()}
    return [
        {
            "name": kernel.name,
            "block": kernel.block_index,
            "is_head": kernel.is_head,
            "shape": list(kernel.kernel_shape),
            "params": kernel.kernel_params,
            "kept": kept[kernel.name],
        }
        for kernel in network.architecture.kernels()
    ]


def exits_of(network: GrowingNetwork, logits: np.ndarray, task: Task) -> dict[str, Any] | None:
    """Returns what early exits cost and gain at each threshold, with example images that leave at each exit.

    Args:
        network: Best network.
        logits: Its logits of the test images, (heads, num_images, classes).
        task: Data of the search.
    """
    num_heads, test = len(logits), task.test
    if num_heads < 2:
        return None
    costs = [network.architecture.macs(head, passing=range(num_heads)) for head in range(num_heads)]
    points = []
    for threshold in np.linspace(0, 1, NUM_THRESHOLDS):
        rule = ExitRule(float(threshold))
        right, cost = outcomes(logits, test.labels, costs, rule)
        leaving = np.bincount(answering_head(logits, rule)[1] - 1, minlength=num_heads)
        points.append(
            {
                "threshold": round(float(threshold), 4),
                "accuracy": float(np.mean(right)),
                "macs": float(np.mean(cost)),
                "leaving": leaving.tolist(),
            }
        )
    heads, evaluated = answering_head(logits, ExitRule(EXAMPLE_THRESHOLD))
    answers = logits.argmax(axis=-1)[heads, np.arange(len(test))]
    examples = [
        [_example(task, row, answers[row], None) for row in _spread(np.flatnonzero(evaluated == head + 1))]
        for head in range(num_heads)
    ]
    return {"points": points, "costs": costs, "threshold": EXAMPLE_THRESHOLD, "examples": examples}


def _spread(rows: np.ndarray) -> np.ndarray:
    """Returns some rows at equal distances: test images of a folder come class by class."""
    return rows[np.linspace(0, len(rows) - 1, min(PER_EXIT, len(rows))).astype(int)]


def mistakes_of(logits: np.ndarray, task: Task) -> dict[str, Any]:
    """Returns the confusion matrix of the last head, recall and precision, and the mistakes that it is surest of.

    Of more than 30 classes, those with the most mistakes are shown.

    Args:
        logits: Logits of the last head, (num_images, classes).
        task: Data of the search.
    """
    labels, answers, count = task.test.labels, logits.argmax(axis=-1), task.num_classes
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (labels, answers), 1)
    wrong = counts.sum(axis=1) + counts.sum(axis=0) - 2 * np.diag(counts)
    shown = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
    rows = []
    for index in range(count):
        images, answered = int(counts[index].sum()), int(counts[:, index].sum())
        right = int(counts[index, index])
        rows.append(
            {
                "name": printable(task.class_names[index]),
                "images": images,
                "recall": right / images if images else None,
                "recall_interval": list(interval(right / images, images)) if images else None,
                "precision": right / answered if answered else None,
            }
        )
    worst = surest_mistakes(logits, labels)
    return {
        "classes": rows,
        "shown": shown.tolist(),
        "counts": counts[np.ix_(shown, shown)].tolist(),
        "examples": [_example(task, row, answers[row], float(sure)) for row, sure in zip(*worst, strict=True)],
    }


def _example(task: Task, row: int, answer: int, sure: float | None) -> dict[str, Any]:
    names = task.class_names
    return {
        "image": data_uri(np.asarray(task.test.images[row]), task.pixel_range),
        "label": printable(names[int(task.test.labels[row])]),
        "answer": printable(names[int(answer)]),
        "sure": sure,
    }


def data_uri(image: np.ndarray, pixel_range: tuple[float, float]) -> str:
    """Returns an image as a PNG in a `data:` address, at most 96 pixels long."""
    from PIL import Image

    pixels = np.round(255 * shown_pixels(image, *pixel_range)).astype(np.uint8)
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def provenance_of(document: Mapping[str, Any], settings: str) -> dict[str, Any]:
    """Returns how the search can be had again: data, seed, versions and this computer.

    Args:
        document: Content of `result.json`.
        settings: Content of `config.yaml`; empty if there is none.
    """
    source = document["source"]["dataset"]
    versions = {"kgrow": document["kgrow_version"], "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": None if source is None else f"kgrow search {shlex.quote(one_line(source))} --config config.yaml",
        "seed": document["seed"],
        "seconds": document["wall_s"],
        "settings": settings,
        "versions": versions,
        "machine": f"{platform.machine()}, {platform.system()}",
    }
