"""`Result`: what a search found, and the document that says so."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgrow.architecture import Architecture
from kgrow.run import RESULT

if TYPE_CHECKING:
    from kgrow.exporting import Artefact, EarlyExit
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
    def pareto(self) -> list[dict[str, Any]]:
        """The candidates that no other beats in accuracy and costs together, the most accurate first."""
        return self.document["pareto"]

    @property
    def test_accuracy(self) -> float:
        """The final head's accuracy on the test split, in [0, 1]."""
        return self.document["best"]["test_accuracy"]

    @property
    def fine_tune_epochs(self) -> int:
        """How long the search trained the network with 8 bits before it wrote its file, as they cost it too much."""
        return self.document["best"]["artefacts"][0]["fine_tune_epochs"]

    def export(
        self,
        path: str | os.PathLike[str],
        quantize: str | None = None,
        exit_index: int | None = None,
        early_exit: bool | EarlyExit = False,
        **options: Any,
    ) -> Artefact:
        """Writes the network for a device and proves it: the model is run over the whole test split before.

        Args:
            path: Where to: a file if it ends in `.tflite`, else the folder of a bundle with labels, a description and
                a program that classifies.
            quantize: A name in `kgrow.exporting.EXPORTERS`: float32, float16, dynamic or int8; by default that of the
                search: int8 if a limit concerned the file, else float32.
            exit_index: The head that answers, or the last of them with early exits; the last one by default.
            early_exit: Whether it answers at the first head that is confident enough; an `EarlyExit` says how that is
                decided.
            options: More of `kgrow.exporting.ExportOptions`, such as `max_drop` or `fine_tune_epochs`, by default that
                of the search for int8.

        Returns:
            What was measured on the model.

        Raises:
            ExportError: If its answers are too far from the network's; nothing is written then.
        """
        from kgrow.exporting import EarlyExit, ExportOptions, export

        exits = early_exit if isinstance(early_exit, EarlyExit) else EarlyExit() if early_exit else None
        quantization = quantize or self.document["config"]["quantization"]
        options.setdefault("seed", self.document["seed"])
        options.setdefault("fine_tune_epochs", self.fine_tune_epochs if quantization == "int8" else 0)
        chosen = ExportOptions(quantization=quantization, exit_index=exit_index, early_exit=exits, **options)
        return export(self.network, self.task, path, chosen)

    def summary(self) -> None:
        """Prints the final table."""
        import sys

        from kgrow.reporting.table import print_summary

        print_summary(self.document, sys.stdout)


def task_document(task: Task) -> dict[str, Any]:
    """Returns the `task` of a result."""
    sizes = {f"num_{role}": len(getattr(task, role)) for role in ("train", "validation", "test")}
    return {
        "name": task.name,
        "input_shape": list(task.input_shape),
        "dtype": str(task.dtype),
        "class_names": list(task.class_names),
        **sizes,
    }


def heads_document(
    architecture: Architecture, validation: Sequence[float], test: Sequence[float]
) -> list[dict[str, Any]]:
    """Returns the `heads` of a result: accuracies, and the cost of a plain network that ends at each head."""
    pairs = zip(validation, test, strict=True)
    return [
        {"val_accuracy": val, "test_accuracy": tested, "macs": architecture.macs(head)}
        for head, (val, tested) in enumerate(pairs)
    ]


def load(
    directory: str | os.PathLike[str],
    dataset: Any = None,
    *,
    validation_data: Any = None,
    test_data: Any = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> Result:
    """Reads a finished search, when its weights are the recorded ones and answer the test images as it says.

    Args:
        directory: The run directory.
        dataset: The data it was searched on, as given to `search`; exports are proved on its test split. A name or a
            folder is remembered; a data set is downloaded only if its name is given here.
        validation_data: As given to `search`.
        test_data: As given to `search`.
        data_dir: Where TensorFlow Datasets keeps its data, if that has changed.

    Raises:
        FileNotFoundError: If the directory holds no finished search.
        ValueError: If the data are not those that were searched on, or the directory's files do not go together.
    """
    path = Path(directory).absolute()
    if not (path / RESULT).is_file():
        raise FileNotFoundError(f"`directory` must hold a finished search, but {path} has no {RESULT}.")
    from kgrow.recorded import best_network, check_accuracy, read_result
    from kgrow.task import Task

    document = read_result(path)
    network = best_network(path, document)
    source = document["source"]
    if dataset is None:
        _check_source(path, source, data_dir)
    task = Task.of(
        source["dataset"] if dataset is None else dataset,
        validation_data=validation_data,
        test_data=test_data,
        data_dir=data_dir or source["data_dir"],
        image_size=None if isinstance(dataset, Task) else source["image_size"],
        validation_split=None if isinstance(dataset, Task) else source["validation_split"],
        seed=document["seed"],
        download=dataset is not None,
    )
    if task.fingerprint != document["config"]["task"]["fingerprint"]:
        raise ValueError(
            f"`dataset` must be the data that {path} was searched on, {document['task']['name']!r}, but its pixels or "
            f"labels differ: got {task!r}."
        )
    check_accuracy(network, task, path, document)
    return Result(path, document, network, task)


def _check_source(path: Path, source: dict[str, Any], data_dir: Any) -> None:
    """Raises ValueError if the data that a run names are not on this machine."""
    if source["dataset"] is None:
        raise ValueError(f"`dataset` must be given for {path}: it was searched on data held in memory.")
    if data_dir is None and "://" in (source["data_dir"] or ""):
        raise ValueError(
            f"`data_dir` must be given for {path}: it names {source['data_dir']!r}, and nothing is fetched unasked."
        )
