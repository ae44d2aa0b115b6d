"""A model before and after compression, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from rich.console import Group, RenderableType

from kgrow.reporting.rows import Rows, print_plain
from kgrow.reporting.wording import Paragraph, grouped, one_line, percent

Document = Mapping[str, Any]


def print_compression(document: Document, stream: TextIO) -> None:
    """Writes the table of `kgrow.compressing.Compressed.document`.

    Args:
        document: Document to print.
        stream: Output stream.
    """
    print_plain(Group(*_compression(document)), stream)


def _compression(document: Document) -> Iterator[RenderableType]:
    before, after = document["before"], document["after"]
    yield Paragraph(f"{one_line(document['model'])} on {one_line(document['task'])}, compressed.", "bold")
    rows = [
        (label, percent(before[name], 2), percent(after[name], 2), "")
        for label, name in (("validation %", "val_accuracy"), ("test %", "test_accuracy"))
    ]
    for label, name in (("parameters", "params"), ("kept connections", "kept_params"), ("MACs per image", "macs")):
        rows.append((label, grouped(before[name]), grouped(after[name]), percent(after[name] / before[name])))
    yield Rows("Model", ("what", "before", "after", "% left"), rows, num_words=1)
    layers = [
        (one_line(layer["name"]), grouped(layer["channels_before"]), grouped(layer["channels_after"]))
        for layer in document["layers"]
    ]
    yield Rows("Channels", ("layer", "before", "after"), layers, num_words=1)
