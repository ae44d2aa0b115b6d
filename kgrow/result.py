"""`Result`: what a search found, and the document that says so."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgrow._checks import check_name, check_non_negative_int, check_path, plain
from kgrow._rules import checked, optional
from kgrow.graph import Architecture
from kgrow.inventory import changed_images
from kgrow.registry import EXPORTERS
from kgrow.run import MODEL, RESULT
from kgrow.task.arguments import RULES as DATA

if TYPE_CHECKING:
    from kgrow.exporting import Artefact, EarlyExit
    from kgrow.network import GrowingNetwork
    from kgrow.task import Task


def _check_early_exit(value: Any, name: str) -> bool | EarlyExit:
    from kgrow.exporting import EarlyExit

    if not isinstance(plain(value), bool | EarlyExit):
        raise ValueError(f"`{name}` must be True, False or an `EarlyExit`, but got {value!r}.")
    return plain(value)


def check_quantize(value: Any, name: str) -> str:
    """Returns the name of a format.

    Raises:
        ValueError: If there is none of that name.
    """
    return check_name(EXPORTERS, value, name)


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

    @checked(
        {
            "path": check_path,
            "quantize": optional(check_quantize),
            "exit_index": optional(check_non_negative_int),
            "early_exit": _check_early_exit,
        }
    )
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
        weights = self.document["config"]["class_weights"]
        options.setdefault("class_weights", None if weights is None else tuple(weights))
        options.setdefault("fine_tune_epochs", self.fine_tune_epochs if quantization == "int8" else 0)
        chosen = ExportOptions(quantization=quantization, exit_index=exit_index, early_exit=exits, **options)
        return export(self.network, self.task, path, chosen)

    def summary(self) -> None:
        """Prints the final table."""
        import sys

        from kgrow.reporting.table import print_summary

        # The commands that it ends with are for the run where it is now.
        best = self.document["best"]
        artefacts = [{**artefact, "path": str(self.directory / MODEL)} for artefact in best["artefacts"]]
        print_summary({**self.document, "best": {**best, "artefacts": artefacts}}, sys.stdout)


@checked({**DATA, "directory": check_path, "dataset": optional(DATA["dataset"])})
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
    from kgrow._keras import pinned
    from kgrow.recorded import best_network, check_accuracy, check_model, read_result
    from kgrow.task import Task
    from kgrow.task.catalog import DataSetName

    document = read_result(path)
    if (path / MODEL).is_file():  # without it the network can be exported all the same
        check_model(path, document)
    with pinned():
        network = best_network(path, document)
    source, is_named = document["source"], dataset is not None
    if not is_named:
        _check_source(path, source, data_dir)
        # Folders are remembered by their absolute paths.
        dataset = source["dataset"] if os.path.isabs(source["dataset"]) else DataSetName(source["dataset"])
    task = Task.of(
        dataset,
        validation_data=validation_data,
        test_data=test_data,
        data_dir=data_dir or source["data_dir"],
        image_size=None if isinstance(dataset, Task) else source["image_size"],
        validation_split=None if isinstance(dataset, Task) else source["validation_split"],
        seed=source["seed"],
        class_names=None if isinstance(dataset, Task) else source["class_names"],
        download=is_named,
    )
    if task.fingerprint != document["config"]["task"]["fingerprint"]:
        changes = changed_images(path, task) or f"its pixels or labels differ: got {task!r}"
        raise ValueError(
            f"`dataset` must be the data that {path} was searched on, {document['task']['name']!r}, but {changes}."
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
