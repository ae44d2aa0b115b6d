"""`Result`: what a search found, and the document that says so."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgrow.architecture import Architecture

if TYPE_CHECKING:
    from kgrow.exporting import Artefact
    from kgrow.network import GrowingNetwork
    from kgrow.task import Task


@dataclasses.dataclass(frozen=True)
class Result:
    """The outcome of a search, also after the process that made it has ended: see `kgrow.load`.

    Args:
        directory: The run directory.
        document: The contents of `result.json`.
        network: The best network, with its masks.
        task: The data it was searched on.
    """

    directory: Path
    document: dict[str, Any]
    network: GrowingNetwork
    task: Task

    @property
    def architecture(self) -> Architecture:
        """The best network's architecture."""
        return self.network.architecture

    @property
    def keep_ratios(self) -> tuple[float, ...]:
        """The best candidate's kept fraction per block."""
        return tuple(self.document["best"]["keep_ratios"])

    @property
    def test_accuracy(self) -> float:
        """The final head's accuracy on the test split, in [0, 1]."""
        return self.document["best"]["test_accuracy"]

    def export(
        self, path: str | os.PathLike[str], quantize: str = "float32", exit_index: int | None = None
    ) -> Artefact:
        """Writes a TFLite file and proves it: the file is run over the whole test split before this returns.

        Args:
            path: Where to, ending in `.tflite`.
            quantize: A name in `kgrow.exporting.EXPORTERS`.
            exit_index: The head that answers; the last one by default.

        Returns:
            What was measured on the file.

        Raises:
            ExportError: If the file's answers differ from the network's; no file is left then.
        """
        from kgrow.exporting import export

        return export(self.network, self.task, path, quantization=quantize, exit_index=exit_index)

    def summary(self) -> None:
        """Prints the final table."""
        import sys

        from kgrow.reporting.table import print_summary

        print_summary(self.document, sys.stdout)


def heads_document(
    architecture: Architecture, validation: Sequence[float], test: Sequence[float]
) -> list[dict[str, Any]]:
    """Returns the `heads` of a result: accuracies, and the cost of a plain network that ends at each head."""
    pairs = zip(validation, test, strict=True)
    return [
        {"val_accuracy": val, "test_accuracy": tested, "macs": architecture.macs(head)}
        for head, (val, tested) in enumerate(pairs)
    ]
