"""`Result`: the result of a search and its document."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgrow._checks import check_name, check_non_negative_int, check_path, plain
from kgrow._rules import checked, optional
from kgrow.inventory import changed_images
from kgrow.pictures import Pictures
from kgrow.registry import EXPORTERS
from kgrow.reporting.progress import check_verbose, display_for
from kgrow.run import MODEL, RESULT, Run
from kgrow.task.arguments import RULES as DATA

if TYPE_CHECKING:
    from kgrow.exporting import Artefact, EarlyExit, ExportOptions
    from kgrow.network import GrowingNetwork
    from kgrow.task import Task


HOW_READ = ("image_size", "validation_split", "class_names")


def _check_early_exit(value: Any, name: str) -> bool | EarlyExit:
    from kgrow.exporting import EarlyExit

    if not isinstance(plain(value), bool | EarlyExit):
        raise ValueError(f"`{name}` must be True, False or an `EarlyExit`, but got {value!r}.")
    return plain(value)


def check_quantize(value: Any, name: str) -> str:
    """Returns the name of a format.

    Raises:
        ValueError: If there is no format of that name.
    """
    return check_name(EXPORTERS, value, name)


@dataclasses.dataclass(frozen=True, repr=False)
class Result(Pictures):
    """The result of a search; `kgrow.load` restores it after its process has ended.

    Args:
        directory: Run directory.
        document: Content of `result.json`.
        network: Best network, with its masks.
        task: Data of the search.
    """

    directory: Path
    document: dict[str, Any]
    network: GrowingNetwork
    task: Task

    @property
    def keep_ratios(self) -> tuple[float, ...]:
        """The best candidate's kept fraction per block."""
        return tuple(self.document["best"]["keep_ratios"])

    @property
    def pareto(self) -> list[dict[str, Any]]:
        """The candidates that no other dominates in accuracy and costs, the most accurate first."""
        return self.document["pareto"]

    @property
    def test_accuracy(self) -> float:
        """The final head's accuracy on the test split, in [0, 1]."""
        return self.document["best"]["test_accuracy"]

    @property
    def fine_tune_epochs(self) -> int:
        """Number of epochs of the search's fine-tuning for 8 bits; 0 if 8 bits did not cost too much accuracy."""
        return self.document["best"]["artefacts"][0]["fine_tune_epochs"]

    @checked(
        {
            "path": check_path,
            "quantize": optional(check_quantize),
            "exit_index": optional(check_non_negative_int),
            "early_exit": _check_early_exit,
            "verbose": check_verbose,
        }
    )
    def export(
        self,
        path: str | os.PathLike[str],
        quantize: str | None = None,
        exit_index: int | None = None,
        early_exit: bool | EarlyExit = False,
        verbose: int = 1,
        **options: Any,
    ) -> Artefact:
        """Verifies the exported model on the whole test split and writes it for a device.

        The epochs of fine-tuning are written to the run's directory, if that is possible; after an interruption the
        same call resumes there.

        Args:
            path: Target path: a file if it ends in `.tflite`, else the folder of a bundle with labels, a description
                and a program that classifies.
            quantize: Name in `kgrow.exporting.EXPORTERS`: float32, float16, dynamic or int8. By default the format of
                the search.
            exit_index: Head that answers, or the last of them with early exits; the network's last one by default.
            early_exit: Whether it answers at the first confident head; an `EarlyExit` has the settings of the rule.
            verbose: Verbosity of fine-tuning: 0 silent, 1 or 2 a line per epoch.
            options: Further options of `kgrow.exporting.ExportOptions`, such as `max_drop` or `fine_tune_epochs`, by
                default that of the search for int8.

        Returns:
            Measurements of the model.

        Raises:
            ExportError: If its outputs differ too much from the network's; nothing is written then.
        """
        from kgrow.exporting import EarlyExit, ExportOptions
        from kgrow.exporting.bundle import check_target
        from kgrow.exporting.export import export_to

        exits = early_exit if isinstance(early_exit, EarlyExit) else EarlyExit() if early_exit else None
        quantization = quantize or self.document["config"]["quantization"]
        options.setdefault("seed", self.document["seed"])
        weights = self.document["config"]["class_weights"]
        options.setdefault("class_weights", None if weights is None else tuple(weights))
        options.setdefault("fine_tune_epochs", self.fine_tune_epochs if quantization == "int8" else 0)
        chosen = ExportOptions(quantization=quantization, exit_index=exit_index, early_exit=exits, **options)
        target = check_target(path, chosen)
        with self._reopened(chosen) as run, display_for(verbose) as observer:
            return export_to(self.network, self.task, target, chosen, run, observer)

    @contextlib.contextmanager
    def _reopened(self, options: ExportOptions) -> Iterator[Run | None]:
        """Provides the run for the epochs of fine-tuning; None if there are none, or it cannot be written."""
        with contextlib.ExitStack() as stack:
            run = None
            if options.fine_tune_epochs and (self.directory / RESULT).is_file():
                with contextlib.suppress(OSError, ValueError):  # read-only, in use, or by now that of another search
                    run = stack.enter_context(Run.open(self.directory, self.document["config"]))
            yield run

    def summary(self, *, details: bool = True) -> None:
        """Prints the final table.

        Args:
            details: Whether trials, heads, classes, early exits and files follow the answer.
        """
        import sys

        from kgrow.recorded import placed
        from kgrow.reporting.table import print_summary

        print_summary(placed(self.document, self.directory), sys.stdout, details=details)


@checked({**DATA, "directory": check_path, "dataset": optional(DATA["dataset"])})
def load(
    directory: str | os.PathLike[str],
    dataset: Any = None,
    *,
    validation_data: Any = None,
    test_data: Any = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> Result:
    """Reads a finished search, after checking its recorded weights and test accuracy.

    Args:
        directory: Run directory.
        dataset: Data of the search, as given to `search`; exports are verified on its test split. The run remembers a
            name or a folder; a data set is downloaded only if its name is given here.
        validation_data: Validation data as given to `search`.
        test_data: Test data as given to `search`.
        data_dir: Directory of TensorFlow Datasets' data, if it has changed.

    Raises:
        FileNotFoundError: If the directory contains no finished search.
        ValueError: If the data are not those of the search, or the directory's files do not match each other.
    """
    path = Path(directory).absolute()
    if not (path / RESULT).is_file():
        raise FileNotFoundError(
            f"`directory` must hold a finished search, but {path} has no {RESULT}. `kgrow.unfinished.settle` ends an "
            "unfinished one with its best network so far."
        )
    from kgrow._keras import pinned
    from kgrow.recorded import best_network, check_accuracy, check_model, read_result

    document = read_result(path)
    if (path / MODEL).is_file():  # without it the network can still be exported
        check_model(path, document)
    with pinned():
        network = best_network(path, document)
    given = {"validation_data": validation_data, "test_data": test_data, "data_dir": data_dir}
    task = data_again(path, document["source"], dataset, **given)
    if task.fingerprint != document["config"]["task"]["fingerprint"]:
        changes = changed_images(path, task) or f"its pixels or labels differ: got {task!r}"
        raise ValueError(
            f"`dataset` must be the data that {path} was searched on, {document['task']['name']!r}, but {changes}."
        )
    check_accuracy(network, task, path, document)
    return Result(path, document, network, task)


def data_again(path: Path, source: dict[str, Any], dataset: Any = None, *, data_dir: Any = None, **splits: Any) -> Task:
    """Reads the data of a run again.

    Args:
        path: Run directory, for messages.
        source: How they were read; see `kgrow.task.origin`.
        dataset: See `load`.
        data_dir: See `load`.
        splits: Validation and test data, as given to `search`.

    Raises:
        ValueError: If they are not on this machine.
    """
    from kgrow.task import Task
    from kgrow.task.catalog import DataSetName

    is_named = dataset is not None
    if not is_named:
        _check_source(path, source, data_dir)
        # Folders are stored as absolute paths.
        dataset = source["dataset"] if os.path.isabs(source["dataset"]) else DataSetName(source["dataset"])
    how = {} if isinstance(dataset, Task) else {name: source[name] for name in HOW_READ}
    place = data_dir or source["data_dir"]
    return Task.of(dataset, data_dir=place, seed=source["seed"], download=is_named, **how, **splits)


def _check_source(path: Path, source: dict[str, Any], data_dir: Any) -> None:
    """Raises ValueError if the data that a run names are not on this machine."""
    if source["dataset"] is None:
        raise ValueError(f"`dataset` must be given for {path}: it was searched on data held in memory.")
    if data_dir is None and "://" in (source["data_dir"] or ""):
        raise ValueError(
            f"`data_dir` must be given for {path}: it names {source['data_dir']!r}, and nothing is fetched unasked."
        )
