"""`Compressed`: a narrower model, and what it cost."""

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
    """What `compress` made of a model.

    Args:
        network: What is left of the model.
        ends_in_softmax: Whether the model that was given does.
        name: Name of the model that was given.
        task: The data it was fine-tuned on.
        document: `kgrow_version`, `model`, `task`, `seed`, `config`; `before` and `after` with `val_accuracy`,
            `test_accuracy`, `params`, `kept_params` and `macs`; and `layers`, each with `name`, `channels_before` and
            `channels_after`. Accuracies are fractions, `kept_params` connections, costs multiply-accumulates per image.
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
        """Writes the model for a device and proves it: the file is run over the whole test split before.

        Args:
            path: Where to: a file if it ends in `.tflite`, else the folder of a bundle with labels, a description and
                a program that classifies.
            quantize: float32, float16, dynamic or int8.
            options: Options of `kgrow.exporting.ExportOptions`, besides those about early exits.

        Returns:
            What was measured on the file.

        Raises:
            ExportError: If its answers are too far from the model's; nothing is written then.
        """
        return export(self.network, self.task, path, ExportOptions(quantization=quantize, **options))

    def summary(self) -> None:
        """Prints what changed."""
        import sys

        from kgrow.reporting.compression import print_compression

        print_compression(self.document, sys.stdout)
