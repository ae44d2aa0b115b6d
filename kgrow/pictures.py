"""`Pictures`: what a result shows in a notebook."""

from __future__ import annotations

import html
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow.graph import Architecture
from kgrow.run import MODEL, read_events

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kgrow.network import GrowingNetwork
    from kgrow.reporting.comparison import Comparison
    from kgrow.task import Task


class Pictures:
    """Figures of a finished search, its one line and its table.

    The figures are matplotlib's; without matplotlib they raise an ImportError that says how to install it.

    Attributes:
        directory: Run directory.
        document: Content of `result.json`.
        network: Best network, with its masks.
        task: Data of the search.
        architecture: Architecture of the best network.
    """

    directory: Path
    document: dict[str, Any]
    network: GrowingNetwork
    task: Task

    @property
    def architecture(self) -> Architecture:
        """The best network's architecture."""
        return self.network.architecture

    def plot_pareto(self) -> Figure:
        """Returns a figure of all trials: validation accuracy over the bytes of the file."""
        from kgrow.reporting.pictures import plot_pareto

        return plot_pareto(self.document)

    def plot_history(self) -> Figure:
        """Returns a figure of the best network's training: validation accuracy of each head, and structural changes."""
        from kgrow.reporting.pictures import plot_history

        return plot_history(self._events(), self._title)

    def plot_timeline(self) -> Figure:
        """Returns a figure of the best network's growth: what was alive, came and went in each block."""
        from kgrow.reporting.timeline import plot_timeline, timeline

        return plot_timeline(timeline(self._events()), self._title)

    def plot_confusion(self) -> Figure:
        """Returns a figure of the last head's answers to the test images, class by class."""
        from kgrow.reporting.pictures import plot_confusion

        test = self.task.test
        answers = self.network.logits(test.images)[-1].argmax(axis=-1)
        return plot_confusion(test.labels, answers, self.task.class_names, f"{self._title}, test images")

    def plot_exits(self) -> Figure:
        """Returns a figure of early exits: test accuracy over mean cost."""
        from kgrow.reporting.pictures import plot_exits

        return plot_exits(self.document["best"], self._title)

    def plot_architecture(self) -> Figure:
        """Returns a figure of the best network's kernels and of what is pruned in them."""
        from kgrow.reporting.pictures import plot_architecture

        kept = {kernel.name: kernel.kept for kernel in self.network.kernels()}
        return plot_architecture(self.architecture, kept, self._title)

    def compare(self, other: Pictures) -> Comparison:
        """Returns this result and another one side by side; with the same test images, also image by image.

        Args:
            other: Result of another search.
        """
        from kgrow.reporting.comparison import Comparison

        tests = self.task.test, other.task.test
        is_same = np.array_equal(tests[0].images, tests[1].images) and np.array_equal(tests[0].labels, tests[1].labels)
        if not is_same or self.task.class_names != other.task.class_names:
            return Comparison(self.document, other.document)
        return Comparison(self.document, other.document, (self._right(), other._right()))

    def _right(self) -> np.ndarray:
        """Returns whether the file classifies each test image correctly, bool (num_images,)."""
        from kgrow.exporting import classify

        test = self.task.test
        return classify(self.directory / MODEL, np.asarray(test.images)).argmax(axis=-1) == test.labels

    def report(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Writes a report: one HTML file that needs nothing else, and no network.

        Args:
            path: Target file.
            overwrite: Whether to replace an existing file.

        Raises:
            FileExistsError: If there is one, and it may not be replaced.
        """
        from kgrow.report import check_free, report_of, write_report

        check_free(path, overwrite)
        page = report_of(self.document, self.directory, self._events(), self.network, self.task)
        write_report(path, page)

    @property
    def _title(self) -> str:
        return f"{self.document['task']['name']}, trial {self.document['best']['trial']}"

    def _events(self) -> list[dict[str, Any]]:
        folder = self.directory / "trials" / self.document["best"]["trial"]
        if not folder.is_dir():
            raise FileNotFoundError(f"`directory` must hold the log of the best trial, but there is no '{folder}'.")
        return read_events(folder)

    def __repr__(self) -> str:
        best = self.document["best"]
        artefact = best["artefacts"][0]
        return (
            f"Result({self.document['task']['name']!r}, test accuracy {100 * artefact['test_accuracy']:.2f} % in "
            f"{artefact['bytes']} bytes ({artefact['quantization']}), '{self.directory}')"
        )

    def _repr_html_(self) -> str:
        """Returns the final table for a notebook."""
        from kgrow.recorded import placed
        from kgrow.reporting.table import print_summary

        text = io.StringIO()
        print_summary(placed(self.document, self.directory), text)
        return f"<pre>{html.escape(text.getvalue())}</pre>"
