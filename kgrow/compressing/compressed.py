"""`Compressed`: a narrower model and its figures."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any

from kgrow._checks import check_path
from kgrow._keras import keras
from kgrow._rules import checked
from kgrow.exporting import Artefact, ExportOptions
from kgrow.exporting.export import export
from kgrow.graph.keras_models import to_keras
from kgrow.graph.values import Weighted
from kgrow.network import GrowingNetwork
from kgrow.result import check_quantize
from kgrow.task import Task


@dataclasses.dataclass(frozen=True)
class Compressed:
    """The result of `compress`.

    Args:
        network: Network that is left of the model.
        ends_in_softmax: Whether the given model ends in softmax.
        name: Name of the given model.
        task: Data of the fine-tuning.
        document: `kgrow_version`, `model`, `task`, `seed`, `config`; `before` and `after` with `val_accuracy`,
            `test_accuracy`, `params`, `kept_params` and `macs`; and `layers`, each with `name`, `channels_before` and
            `channels_after`. Accuracies are fractions, `kept_params` counts connections, and costs are
            multiply-accumulates per image.
    """

    network: GrowingNetwork
    ends_in_softmax: bool
    name: str
    task: Task
    document: dict[str, Any]

    @functools.cached_property
    def model(self) -> keras.Model:
        """A new, narrower Keras model of plain layers, not compiled; pruned connections are exactly zero."""
        weighted = Weighted.of(self.network.architecture, self.network.state())
        return to_keras(weighted, softmax=self.ends_in_softmax, name=self.name)

    @checked({"path": check_path, "quantize": check_quantize})
    def export(self, path: str | os.PathLike[str], quantize: str = "float32", **options: Any) -> Artefact:
        """Verifies the exported model on the whole test split and writes it for a device.

        Args:
            path: Target path: a file if it ends in `.tflite`, else the folder of a bundle with labels, a description
                and a program that classifies.
            quantize: Format: float32, float16, dynamic or int8.
            options: Options of `kgrow.exporting.ExportOptions`, besides those about early exits.

        Returns:
            Measurements of the file.

        Raises:
            ExportError: If its outputs differ too much from the model's; nothing is written then.
            ValueError: If an option is not usable; a compressed model has one classifier, so no early exits.
        """
        chosen = ExportOptions(quantization=quantize, **options)
        if chosen.early_exit:
            raise ValueError("`early_exit` must be left out: a compressed model has one classifier, at its end.")
        return export(self.network, self.task, path, chosen)

    def summary(self) -> None:
        """Prints the changes."""
        import sys

        from kgrow.reporting.compression import print_compression

        print_compression(self.document, sys.stdout)
