"""Two searches side by side."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, TextIO

import numpy as np
from rich.console import Group

from kgrow.reporting.rows import Rows, print_plain
from kgrow.reporting.wording import Paragraph, grouped, one_line, percent, with_interval
from kgrow.uncertainty import SIGNIFICANCE, interval, p_value


class Comparison:
    """Figures of two searches, and whether their networks differ by more than chance.

    Args:
        first: Content of the first `result.json`.
        second: Content of the second one.
        right: Whether each network classifies each test image correctly, two bool arrays (num_images,); None where the
            searches have other test images.
    """

    def __init__(
        self,
        first: Mapping[str, Any],
        second: Mapping[str, Any],
        right: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        self.documents = (first, second)
        # Of networks with the same test images, image by image; see `kgrow.uncertainty.p_value`.
        self.p_value = None if right is None else p_value(*right)
        self.difference = None if right is None else float(right[1].mean() - right[0].mean())

    @property
    def figures(self) -> dict[str, tuple[float | None, float | None]]:
        """Each figure of both, by name: None where it is unknown."""
        found = [_figures(document) for document in self.documents]
        return {name: (found[0][name], found[1][name]) for name in found[0]}

    @property
    def verdict(self) -> str:
        """What the difference in accuracy means, in a sentence."""
        if self.difference is None or self.p_value is None:
            return "The test images are not the same, so their accuracies cannot be compared image by image."
        points = f"{100 * self.difference:+.2f} points of test accuracy (p = {self.p_value:.2g}, image by image)"
        if self.p_value < SIGNIFICANCE:
            return f"The second network differs from the first by {points}: more than chance."
        return f"The second network differs from the first by {points}: it may be chance."

    def print(self, stream: TextIO) -> None:
        """Writes the figures and the verdict."""
        accuracies = [
            with_interval(accuracy, interval(accuracy or 0.0, document["task"]["num_test"]))
            for accuracy, document in zip(self.figures["test accuracy"], self.documents, strict=True)
        ]
        rows = [("test % (95 %)", *accuracies, "")]
        for name, (one, other) in self.figures.items():
            if name != "test accuracy":
                share = "-" if not one or other is None else f"{other / one:.2f}"
                rows.append((name, _shown(one), _shown(other), share))
        names = [one_line(document["task"]["name"]) for document in self.documents]
        headers = ("figure", f"first: {names[0]}", f"second: {names[1]}", "ratio")
        table = Rows("Two searches", headers, rows, num_words=1)
        print_plain(Group(table, Paragraph(self.verdict)), stream)

    def __repr__(self) -> str:
        one, other = self.figures["test accuracy"]
        return f"Comparison({percent(one, 2)} % against {percent(other, 2)} %)"

    def _repr_html_(self) -> str:
        """Returns the table for a notebook."""
        import html

        text = io.StringIO()
        self.print(text)
        return f"<pre>{html.escape(text.getvalue())}</pre>"


def _figures(document: Mapping[str, Any]) -> dict[str, float | None]:
    best = document["best"]
    artefact = best["artefacts"][0]
    return {
        "test accuracy": artefact["test_accuracy"],
        "bytes": artefact["bytes"],
        "RAM bytes": artefact["ram_bytes"],
        "latency ms": artefact["latency_ms"],
        "MACs": artefact["macs"],
        "connections": best["kept_params"],
        "trials": len(document["candidates"]),
        "seconds": document["wall_s"],
    }


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return grouped(value) if value >= 100 or value == int(value) else f"{value:.3g}"
