"""The final table of a search, from the document `result.json`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from rich.console import Group, RenderableType
from rich.text import Text

from kgrow.reporting.answer import answer_of, limits_of
from kgrow.reporting.choice import explained_choice, winner_of
from kgrow.reporting.next_steps import next_steps
from kgrow.reporting.rows import WINNER, Rows, print_plain
from kgrow.reporting.wording import (
    Paragraph,
    agreement,
    baseline,
    duration,
    grouped,
    market,
    one_line,
    percent,
    ratios,
    with_interval,
)

NUM_EXIT_ROWS = 5
NUM_CLASS_ROWS = 10

Document = Mapping[str, Any]


def print_summary(result: Document, stream: TextIO, *, details: bool = True) -> None:
    """Writes the final table.

    Args:
        result: Content of `result.json`.
        stream: Output stream.
        details: Whether more than the answer is written.
    """
    print_plain(summary(result, details=details), stream)


def summary(result: Document, *, details: bool = True) -> RenderableType:
    """Returns a summary of a search: the winning trial, the reason for it, and the figures of its file.

    Args:
        result: Content of `result.json`.
        details: Whether trials, heads, classes, early exits and files follow the answer.

    Returns:
        A rich renderable for any width: a table that is too wide loses its least important columns.
    """
    best = result["best"]
    parts = (*_trials(result), *_heads(best), *_classes(best), *_early_exit(best), *_artefacts(best)) if details else ()
    answer = Paragraph(f"{answer_of(result)}.", WINNER)
    steps = next_steps(result, details=details)
    return Group(_opening(result), answer, *_best(result), *_limits(result), *parts, *steps)


def _opening(result: Document) -> Paragraph:
    task, num_trials = result["task"], len(result["candidates"])
    tried = f"{num_trials} {'trial' if num_trials == 1 else 'trials'}"
    took = duration(result["wall_s"])
    return Paragraph(f"{one_line(task['name'])}: {tried} in {took}, seed {result['seed']}.", "bold")


def _best(result: Document) -> Iterator[RenderableType]:
    best = result["best"]
    kept, size = grouped(best["kept_params"]), grouped(best["prunable_params"])
    low, high = map(percent, best["test_accuracy_interval"])
    yield Paragraph(
        f"The best network has test accuracy {percent(best['test_accuracy'], 2)} % (95 % interval {low} to {high}) "
        f"with {kept} of {size} weights."
    )
    if not best["baseline"]["is_beaten"]:
        yield Paragraph(baseline(best, result["task"]["num_test"]), "bold yellow")


def _limits(result: Document) -> Iterator[RenderableType]:
    """Yields the limits and the part of each that is used."""
    limits = limits_of(result)
    words = (f"{limit['field']} {_figure(limit['value'])} of {_figure(limit['most'])}" for limit in limits)
    if limits:
        yield Paragraph(f"Within the limits: {', '.join(words)}.")


def _figure(value: float) -> str:
    return grouped(value) if isinstance(value, int) else f"{value:.3g}"


def _trials(result: Document) -> Iterator[RenderableType]:
    trials, winner = result["candidates"], winner_of(result)
    rows = [
        (
            f"{trial['trial']}{' *' if index == winner else ''}",
            _status(trial),
            _network(trial),
            ratios(trial["keep_ratios"]),
            with_interval(trial["val_accuracy"], trial["val_accuracy_interval"]),
            percent(trial["mean_val_accuracy"], 2),
            "-" if trial["mean_val_loss"] is None else f"{trial['mean_val_loss']:.4f}",
            grouped(trial["kept_params"]),
            grouped(trial["macs"]),
        )
        for index, trial in enumerate(trials)
    ]
    headers = (
        "trial",
        "status",
        "network",
        "keep ratio",
        "validation % (95 %)",
        "mean %",
        "mean loss",
        "weights",
        "MACs",
    )
    expendable = ("MACs", "keep ratio", "network", "mean loss", "mean %", "status")
    yield Rows("Trials", headers, rows, num_words=4, winner=winner, expendable=expendable)
    for trial in trials:
        if trial["error"]:
            yield Paragraph(f"Trial {trial['trial']} {trial['status']}: {one_line(trial['error'])}", "yellow")
    if any(trial["mean_val_loss"] is not None for trial in trials):
        yield Paragraph(
            "Validation: the checkpoint that was kept. Mean: validation accuracy and loss over the last epochs up to "
            "it, by which trials are compared."
        )
    yield from explained_choice(result)
    networks = result["networks"]
    if networks["infeasible"]:
        yield Paragraph(
            f"{networks['infeasible']} of the {networks['offered']} networks of the space break a limit however much "
            "is pruned; none of these was trained."
        )
    if result["calibration"]:
        yield Paragraph(agreement(result["calibration"]))


def _status(trial: Document) -> str:
    status = f"as {trial['same_as']}" if trial["same_as"] else trial["status"]
    if not trial["estimated"] or trial["val_accuracy"] is None:
        return status
    return "approximate" if status == "done" else f"{status}, approximate"


def _network(trial: Document) -> str:
    """Returns the blocks and the factor on their filters, such as "4 x 0.5", and what was chosen by a name."""
    values = trial["values"]
    named = "".join(f" {value}" for name, value in values.items() if isinstance(value, str) and value != "none")
    return f"{values['depth']} x {values['width']:g}{named}"


def _heads(best: Document) -> Iterator[RenderableType]:
    heads = best["heads"]
    rows = [
        (
            f"{index}{' (last)' if index == len(heads) - 1 else ''}",
            with_interval(head["val_accuracy"], head["val_accuracy_interval"]),
            with_interval(head["test_accuracy"], head["test_accuracy_interval"]),
            grouped(head["macs"]),
        )
        for index, head in enumerate(heads)
    ]
    headers = ("head", "validation % (95 %)", "test % (95 %)", "MACs per image")
    yield Rows(
        f"Heads of trial {best['trial']}",
        headers,
        rows,
        num_words=1,
        expendable=("MACs per image", "validation % (95 %)"),
    )
    yield Paragraph(
        "Each block ends in a head that can answer; `kgrow export --exit-index` takes its number. MACs: "
        "multiply-accumulate operations of the network up to there, "
        f"pruned weights included; without them {grouped(best['macs_sparse'])} of {grouped(best['macs_dense'])}. The "
        "test images decided nothing."
    )


def _classes(best: Document) -> Iterator[RenderableType]:
    """Yields the recall of each class; if there are many, the lowest first."""
    classes = shown = best["classes"]
    title = "Recall per class"
    if len(classes) > NUM_CLASS_ROWS:
        shown = sorted(classes, key=lambda it: 2.0 if it["recall"] is None else it["recall"])[:NUM_CLASS_ROWS]
        title = f"Recall per class, the lowest {NUM_CLASS_ROWS} of {len(classes)}"
    rows = [
        (
            one_line(it["name"]),
            f"{grouped(it['num_test'])}{' !' if it['has_few_test_images'] else ''}",
            with_interval(it["recall"], it["recall_interval"], decimals=1),
        )
        for it in shown
    ]
    yield Rows(title, ("class", "test images", "recall % (95 %)"), rows, num_words=1)
    few = [one_line(it["name"]) for it in classes if it["has_few_test_images"]]
    if few:
        named = ", ".join(few[:NUM_CLASS_ROWS]) + (", ..." if len(few) > NUM_CLASS_ROWS else "")
        yield Paragraph(f"! Fewer than three test images, so that the recall says nothing: {named}.", "yellow")


def _early_exit(best: Document) -> Iterator[RenderableType]:
    points = sorted(best["early_exit"], key=lambda point: point["mean_macs"])
    if not points:
        return
    full = best["macs_dense"]
    rows = [
        (
            f"{point['threshold']:g}",
            with_interval(point["test_accuracy"], point["test_accuracy_interval"]),
            grouped(point["mean_macs"]),
            percent(point["mean_macs"] / full),
        )
        for point in _spread(points)
    ]
    headers = ("threshold", "test % (95 %)", "mean MACs per image", "% of the last head's")
    yield Rows("Early exit", headers, rows, num_words=1, expendable=headers[:1:-1])
    yield Paragraph(
        "The first head whose largest probability reaches the threshold answers, and later ones are not run; where "
        "none does, the most confident one answers. An export may let the last one answer then."
    )


def _spread(points: Sequence[Document]) -> list[Document]:
    """Returns a few points with evenly spread costs, including the cheapest and the most expensive."""
    low, high = points[0]["mean_macs"], points[-1]["mean_macs"]
    targets = [low + (high - low) * step / (NUM_EXIT_ROWS - 1) for step in range(NUM_EXIT_ROWS)]
    nearest = {min(range(len(points)), key=lambda i: abs(points[i]["mean_macs"] - target)) for target in targets}
    return [points[index] for index in sorted(nearest)]


def _artefacts(best: Document) -> Iterator[RenderableType]:
    artefacts = best["artefacts"]
    rows = [
        (
            one_line(os.path.basename(artefact["path"])),
            artefact["quantization"],
            grouped(artefact["bytes"]),
            grouped(artefact["gzip_bytes"]),
            with_interval(artefact["test_accuracy"], artefact["test_accuracy_interval"]),
            f"{artefact['latency_ms']:.3g}",
            f"{artefact['max_abs_diff']:.1e}",
        )
        for artefact in artefacts
    ]
    headers = ("file", "weights", "bytes", "gzip bytes", "test % (95 %)", "latency ms", "max |diff|")
    expendable = ("max |diff|", "gzip bytes", "latency ms", "weights")
    yield Rows("Files, each measured by running it", headers, rows, num_words=2, expendable=expendable)
    yield Paragraph(
        f"Latency: one image on one thread of {one_line(artefacts[0]['runtime'])} on this machine. Max |diff|: largest "
        "difference of a logit from the Keras network's, over all test images."
    )
    if best["market"]:
        yield Paragraph(market(best["market"]))
    if best["unpruned"]:
        yield Paragraph(_saved(best["unpruned"], artefacts[0]))
    for artefact in artefacts:
        yield Text(one_line(artefact["path"]), overflow="fold")


def _saved(unpruned: Document, artefact: Document) -> str:
    """Returns what pruning saved, in words."""
    was, now = unpruned, artefact
    return (
        f"Without pruning the file would have {grouped(was['bytes'])} bytes, need {grouped(was['ram_bytes'])} bytes of "
        f"RAM and take {was['latency_ms']:.3g} ms: pruning saved {_share(was['bytes'], now['bytes'])} of the bytes, "
        f"{_share(was['ram_bytes'], now['ram_bytes'])} of the RAM and "
        f"{_share(was['latency_ms'], now['latency_ms'])} of the time."
    )


def _share(before: float, after: float) -> str:
    return f"{100 * (before - after) / before:.0f} %"
