"""Measurements of exported models, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import numpy as np
from rich.console import Group, RenderableType

from kgrow.reporting.rows import Rows, print_plain
from kgrow.reporting.wording import Paragraph, grouped, one_line, percent, with_interval

Document = Mapping[str, Any]


def print_artefact(artefact: Document, stream: TextIO) -> None:
    """Writes the measurements of an exported model.

    Args:
        artefact: Fields of `kgrow.exporting.Artefact`.
        stream: Output stream.
    """
    print_plain(Group(*_artefact(artefact)), stream)


def _artefact(artefact: Document) -> Iterator[RenderableType]:
    drop = 100 * artefact["accuracy_drop"]
    change = "as accurate as" if abs(drop) < 0.005 else f"{abs(drop):.2f} points {'below' if drop > 0 else 'above'}"
    low, high = map(percent, artefact["test_accuracy_interval"])
    yield Paragraph(f"{one_line(artefact['path'])}: {artefact['quantization']}, measured by running it.", "bold")
    rows = [
        ("test accuracy", f"{percent(artefact['test_accuracy'], 2)} %, 95 % interval {low} to {high}"),
        ("compared", f"{change} the Keras network{_likewise(artefact)}"),
        ("same answer", f"{percent(artefact['agreement'], 2)} % of the test images"),
        ("size", f"{grouped(artefact['bytes'])} bytes, {grouped(artefact['gzip_bytes'])} after gzip"),
        ("RAM", f"{grouped(artefact['ram_bytes'])} bytes for activations on a microcontroller"),
        ("work", f"{grouped(artefact['macs'])} multiply-accumulates through the whole network"),
        ("latency", f"median {artefact['latency_ms']:.3g} ms, 95 % within {artefact['latency_p95_ms']:.3g} ms"),
    ]
    yield Rows("Model", ("what", "measured"), rows, num_words=2)
    exits = artefact["early_exit"]
    if exits:
        stops = [
            (str(head), percent(there), "-" if milliseconds is None else f"{milliseconds:.3g}")
            for head, there, milliseconds in zip(
                exits["exit_indices"], exits["exits"], exits["latency_ms"], strict=True
            )
        ]
        headers = ("stops after head", "% of test images", "latency ms")
        confidences = ", ".join(f"{confidence:.3g}" for confidence in np.ravel(exits["threshold"]))
        yield Rows(f"Early exit at confidence {confidences}", headers, stops, num_words=1)
        yield Paragraph(
            f"On average {grouped(exits['mean_macs'])} multiply-accumulates and {exits['mean_latency_ms']:.3g} ms. "
            f"Where no head is sure enough, the {exits['fallback'].replace('_', ' ')} one answers."
        )
    yield Paragraph(f"Latency: one image on one thread of {one_line(artefact['runtime'])} on this machine.")


def _likewise(artefact: Document) -> str:
    """Returns a description of the network's outputs with which the file is compared."""
    if artefact["early_exit"]:
        return " with the same exits"
    return f" at head {artefact['exit_index']}"


def print_benchmark(document: Document, stream: TextIO) -> None:
    """Writes the result of `kgrow.benchmark.benchmark`."""
    print_plain(Group(*_benchmark(document)), stream)


def _benchmark(document: Document) -> Iterator[RenderableType]:
    measured = [row for row in document["rows"] if "error" not in row]
    rows = [
        (
            row["format"],
            grouped(row["bytes"]),
            grouped(row["gzip_bytes"]),
            with_interval(row["test_accuracy"], row["test_accuracy_interval"]),
            f"{row['latency_ms']:.3g}",
            f"{row['latency_p95_ms']:.3g}",
            f"{row['mean_latency_ms']:.3g}",
            grouped(row["ram_bytes"]),
            grouped(row["macs"]),
        )
        for row in measured
    ]
    headers = ("format", "bytes", "gzip", "test % (95 %)", "ms", "95 %", "mean", "RAM", "MACs")
    expendable = ("mean", "gzip", "95 %", "MACs", "RAM")
    yield Rows("Files, each measured by running it", headers, rows, num_words=1, expendable=expendable)
    threads = "1 thread" if document["num_threads"] == 1 else f"{document['num_threads']} threads"
    yield Paragraph(
        f"ms: median, 95th percentile and mean time of one image on {threads} of {one_line(document['runtime'])} on "
        "this machine, the files in turn. RAM: bytes for activations on a microcontroller. MACs: multiply-accumulates "
        "through the whole network."
    )
    if measured and all(row["test_accuracy"] is None for row in measured):
        yield Paragraph(
            "Timed on noise, on which early exits leave anywhere. With `--dataset` images of a test split are taken.",
            "yellow",
        )
    if document["is_same_data"] is False:
        yield Paragraph(
            "The data are not those that the file was made of, or are split in another way: of these test images the "
            "network may have learned some.",
            "yellow",
        )
    for row in document["rows"]:
        if "error" in row:
            yield Paragraph(f"{row['format']}: {one_line(row['error'])}", "yellow")
