"""Pictures of a search: matplotlib figures of what its result and its logs say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow._figure import QUIET, color_of, count_labels, new_figure, plain_axes
from kgrow.graph import Architecture
from kgrow.reporting.wording import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 7.0, 4.2  # inches
MOST_NUMBERED = 20  # classes up to which the counts of a confusion matrix can be read
LONGEST_NAME = 24  # characters of a class


def plot_pareto(document: Mapping[str, Any]) -> Figure:
    """Draws the validation accuracy of every trial over the bytes of its file, with 95 % intervals.

    The front is what no other trial beats in both.

    Args:
        document: Content of `result.json`.
    """
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.subplots()
    for trial in document["candidates"]:
        if trial["val_accuracy"] is None:
            continue
        is_best = trial["trial"] == document["best"]["trial"]
        accuracy, interval = 100 * trial["val_accuracy"], trial["val_accuracy_interval"]
        low, high = (100 * end for end in interval or (trial["val_accuracy"],) * 2)
        errors = [[max(0.0, accuracy - low)], [max(0.0, high - accuracy)]]
        color, alpha = color_of(5 if is_best else 0), 1.0 if trial["status"] == "done" else 0.4
        axes.errorbar(trial["flash_bytes"], accuracy, errors, fmt="o", capsize=2, color=color, alpha=alpha)
        axes.annotate(trial["trial"], (trial["flash_bytes"], accuracy), (5, 5), textcoords="offset points", fontsize=8)
    front = sorted((trial["flash_bytes"], 100 * trial["val_accuracy"]) for trial in _front(document["candidates"]))
    axes.step(*zip(*front, strict=True), where="post", color=QUIET, linewidth=0.8, zorder=0) if front else None
    axes.set_xlabel("bytes of the file, as predicted")
    axes.set_ylabel("validation accuracy, %")
    axes.set_title(f"{document['task']['name']}: trial {document['best']['trial']} is chosen")
    count_labels(axes.xaxis)
    plain_axes(axes)
    return figure


def _front(candidates: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the finished trials that no other finished one beats in accuracy and bytes."""
    known = [trial for trial in candidates if trial["val_accuracy"] is not None and trial["status"] == "done"]
    return [
        own
        for own in known
        if not any(
            other["flash_bytes"] <= own["flash_bytes"]
            and other["val_accuracy"] >= own["val_accuracy"]
            and (other["flash_bytes"], other["val_accuracy"]) != (own["flash_bytes"], own["val_accuracy"])
            for other in known
        )
    ]


def plot_history(events: Sequence[Mapping[str, Any]], title: str = "") -> Figure:
    """Draws the validation accuracy of every head, and marks where the structure changed.

    Args:
        events: Log of a training.
        title: Title of the figure.
    """
    ended = [event for event in events if event["event"] == "epoch"]
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.subplots()
    for head in range(max((len(event["val_accuracy"]) for event in ended), default=0)):
        points = [(e["epoch"], 100 * e["val_accuracy"][head]) for e in ended if len(e["val_accuracy"]) > head]
        axes.plot(*zip(*points, strict=True), color=color_of(head), label=f"head {head + 1}")
    shown = set()
    for event in events:
        mark = MARKS.get(event["event"]) if "change" in event else None
        if mark is not None:
            color, words = mark
            label = words if event["event"] not in shown else None
            axes.axvline(event["epoch"], color=color, linewidth=1, linestyle=":", label=label, zorder=0)
            shown.add(event["event"])
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy, %")
    axes.set_title(title)
    axes.legend(frameon=False, fontsize=8)
    count_labels(axes.xaxis)
    plain_axes(axes)
    return figure


# Color and words of the changes that are marked; a market trades in nearly every epoch.
MARKS = {
    "grew": (color_of(2), "a block comes"),
    "pruned": (color_of(5), "pruned"),
    "cut": (color_of(4), "cut"),
    "resized": (color_of(3), "larger images"),
    "removed": (QUIET, "channels go"),
}


def plot_confusion(labels: np.ndarray, answers: np.ndarray, class_names: Sequence[str], title: str = "") -> Figure:
    """Draws how many images of each class are answered with each class.

    Args:
        labels: Labels, (num_images,).
        answers: Predicted classes, (num_images,).
        class_names: Names of the classes.
        title: Title of the figure.
    """
    count = len(class_names)
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (labels, answers), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(1.6 + 0.36 * count, 3.2, 9.0))
    figure = new_figure(side + 0.6, side)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= MOST_NUMBERED:
        names = [one_line(name)[:LONGEST_NAME] for name in class_names]
        axes.set_xticks(range(count), names, rotation=90, fontsize=8)
        axes.set_yticks(range(count), names, fontsize=8)
        for row, column in np.ndindex(counts.shape):
            if counts[row, column]:
                color = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=7)
    axes.set_xlabel("answered")
    axes.set_ylabel("class")
    axes.set_title(title)
    return figure


def plot_exits(best: Mapping[str, Any], title: str = "") -> Figure:
    """Draws what early exits are worth: test accuracy over mean cost, by threshold, and each head by itself.

    Args:
        best: The `best` of a result.
        title: Title of the figure.
    """
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.subplots()
    points = best["early_exit"]
    costs, accuracies = ([point[name] for point in points] for name in ("mean_macs", "test_accuracy"))
    axes.plot(
        costs, [100 * accuracy for accuracy in accuracies], color=color_of(0), label="answers of the first sure head"
    )
    for point in points[:: max(1, len(points) // 8)]:
        place = (point["mean_macs"], 100 * point["test_accuracy"])
        axes.annotate(f"{point['threshold']:.2g}", place, (3, -9), textcoords="offset points", fontsize=7, color=QUIET)
    for number, head in enumerate(best["heads"]):
        axes.plot(
            head["macs"], 100 * head["test_accuracy"], "o", color=color_of(5), label=None if number else "one head"
        )
        place = (head["macs"], 100 * head["test_accuracy"])
        axes.annotate(f"head {number + 1}", place, (5, 4), textcoords="offset points", fontsize=8)
    axes.set_xlabel("multiply-accumulates per image, mean")
    axes.set_ylabel("test accuracy, %")
    axes.set_title(title)
    axes.legend(frameon=False, fontsize=8)
    count_labels(axes.xaxis)
    plain_axes(axes)
    return figure


def plot_architecture(architecture: Architecture, kept: Mapping[str, int], title: str = "") -> Figure:
    """Draws each kernel as a bar of its connections, those that are pruned faint, block by block.

    Args:
        architecture: Architecture of the network.
        kept: Kept connections by kernel name.
        title: Title of the figure.
    """
    kernels = architecture.kernels()
    figure = new_figure(WIDTH, float(np.clip(0.9 + 0.24 * len(kernels), 2.5, 14.0)))
    axes = figure.subplots()
    for row, kernel in enumerate(kernels):
        color = color_of(kernel.block_index)
        axes.barh(row, kernel.kernel_params, color=color, alpha=0.25)
        axes.barh(row, kept[kernel.name], color=color)
        words = " head" if kernel.is_head else ""
        axes.annotate(
            f"{100 * kept[kernel.name] / kernel.kernel_params:.0f} %{words}",
            (kernel.kernel_params, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=QUIET,
        )
    axes.set_yticks(range(len(kernels)), [one_line(kernel.name) for kernel in kernels], fontsize=7)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("connections; pruned ones are faint")
    axes.set_title(title)
    count_labels(axes.xaxis)
    plain_axes(axes)
    return figure
