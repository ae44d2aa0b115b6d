"""The record of a finished search in `result.json`, and checks that it is still valid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kgrow._files import read_file, read_json
from kgrow._ownership import CONFIG, HEADER, check_version
from kgrow._schema import fields_of
from kgrow._version import __version__
from kgrow.exporting import Artefact
from kgrow.graph import Architecture
from kgrow.lifecycle import BEST, Snapshot
from kgrow.network import GrowingNetwork
from kgrow.run import MODEL, RESULT
from kgrow.searching.trial import Trial, check_name
from kgrow.task import Task
from kgrow.training.validation import accuracy_per_head

# Kernels of another processor may change nearly tied answers: this fraction of the images plus one.
SHARE_OF_TIES = 0.005

SOURCE = {
    "dataset": (str, None),
    "data_dir": (str, None),
    "image_size": (int, tuple[int, int], None),
    "validation_split": (float, None),
    "class_names": ([str], None),
    "seed": int,
}
_TASK = {
    "name": str,
    "input_shape": [int],
    "dtype": str,
    "class_names": [str],
    "num_train": int,
    "num_validation": int,
    "num_test": int,
}
_BEST = {
    "trial": str,
    "epochs_trained": int,
    "unfinished": bool,
    "architecture": Architecture,
    "keep_ratios": [float],
    "prunable_params": int,
    "kept_params": int,
    "macs_dense": int,
    "macs_sparse": int,
    "heads": [
        {
            "val_accuracy": float,
            "val_accuracy_interval": [float],
            "test_accuracy": float,
            "test_accuracy_interval": [float],
            "macs": int,
        }
    ],
    "test_accuracy": float,
    "test_accuracy_interval": [float],
    "baseline": {"class": str, "test_accuracy": float, "is_beaten": bool},
    "classes": [
        {
            "name": str,
            "num_train": int,
            "num_validation": int,
            "num_test": int,
            "has_few_test_images": bool,
            "recall": (float, None),
            "recall_interval": ([float], None),
        }
    ],
    "early_exit": [{"threshold": float, "test_accuracy": float, "test_accuracy_interval": [float], "mean_macs": float}],
    "artefacts": [{**fields_of(Artefact), "early_exit": (None,)}],
    "unpruned": ({"bytes": int, "ram_bytes": int, "latency_ms": float, "macs": int}, None),
    "market": ({"trades": int, "pairs": int, "rank_correlation": (float, None), "p_value": (float, None)}, None),
}
_CANDIDATE = {**fields_of(Trial), "val_accuracy_interval": ([float], None)}
_COMPARISON = {"trial": str, "difference": float, "p_value": (float, None), "told_apart": bool}
_CALIBRATION = {
    "estimator": str,
    "kendall_tau": (float, None),
    "num_candidates": int,
    "candidates": [{"trial": str, "estimated_val_accuracy": float, "val_accuracy": float}],
}
# `config` is compared with `config.json` as a whole.
DOCUMENT = {
    "kgrow_version": str,
    "task": _TASK,
    "source": SOURCE,
    "seed": int,
    "start": str,
    "complete": bool,
    "trials": int,
    "epochs": int,
    "config": {
        "task": {**_TASK, "fingerprint": str},
        "quantization": str,
        "seed": int,
        "class_weights": ([float], None),
    },
    "candidates": [_CANDIDATE],
    "networks": {"offered": int, "infeasible": int},
    "pareto": [{**_CANDIDATE, "latency_ms": (float, None)}],
    "choice": {"prefer": str, "contenders": [str], "comparisons": [_COMPARISON]},
    "best": _BEST,
    "calibration": (_CALIBRATION, None),
    "files": [{"path": str, "bytes": int, "sha256": str}],
    "wall_s": float,
}


def read_result(directory: Path) -> dict[str, Any]:
    """Returns the `result.json` of a run directory.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is of another version, a field is missing or wrong, or fields contradict each other or
            `config.json`.
    """
    file = directory / RESULT
    check_version(file, read_json(file, {"kgrow_version": str})["kgrow_version"], __version__)
    document = read_json(file, DOCUMENT)
    best, names = document["best"], [trial["trial"] for trial in document["candidates"]]
    if best["trial"] not in names:
        raise _damaged(file, f"`best.trial` must be one of the `candidates`, but is {best['trial']!r}")
    try:
        check_name(best["trial"])
    except ValueError as error:
        raise _damaged(file, f"`best.trial`: {error}") from error
    if not best["heads"] or not best["artefacts"] or best["test_accuracy"] != best["heads"][-1]["test_accuracy"]:
        raise _damaged(file, "`best` must have heads and artefacts, and the test accuracy of its last head")
    if not (directory / CONFIG).is_file():
        raise FileNotFoundError(f"`directory` must hold a whole run, but there is no '{directory / CONFIG}'.")
    _check_together(file, document, read_json(directory / CONFIG, HEADER)["config"])
    return document


def placed(document: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Returns the content of `result.json` of a run that may have been moved, for its final commands.

    Args:
        document: Content of `result.json`.
        directory: Current directory of the run.
    """
    best = document["best"]
    artefacts = [{**artefact, "path": str(directory / MODEL)} for artefact in best["artefacts"]]
    return {**document, "best": {**best, "artefacts": artefacts}}


def _check_together(file: Path, document: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raises ValueError if parts of a result contradict the configuration of the run, or each other."""
    if not _are_same(document["config"], config):
        raise _damaged(file, f"`config` must be that of {CONFIG}, but differs")
    if not _are_same({**document["task"], "fingerprint": config["task"]["fingerprint"]}, config["task"]):
        raise _damaged(file, "`task` must be that of its `config`, but differs")
    if document["source"]["class_names"] not in (None, document["task"]["class_names"]):
        raise _damaged(file, "`source.class_names` must be those of its `task`, but differ")
    if document["seed"] != config["seed"]:
        raise _damaged(file, "`seed` must be that of its `config`, but differs")


def record_of(directory: Path, trial: str) -> list[dict[str, Any]]:
    """Returns the `files` of a result: size and hash of the exported file and of the best trial's weights."""
    contents = {name: read_file(directory / name) for name in (MODEL, _weights_of(trial))}
    return [
        {"path": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    ]


def check_model(directory: Path, document: Mapping[str, Any]) -> None:
    """Raises ValueError if the exported file is not the one that the search wrote."""
    _content(directory, document, MODEL, "Move it away; the same search then writes the file anew.")


def best_network(directory: Path, document: Mapping[str, Any]) -> GrowingNetwork:
    """Returns the best network with its weights, after checking that they are the recorded ones.

    Raises:
        FileNotFoundError: If the weights are missing.
        ValueError: If they differ, or are of another architecture.
    """
    best, name = document["best"], _weights_of(document["best"]["trial"])
    file = directory / name
    if not file.is_file():
        raise FileNotFoundError(f"`directory` must hold the weights of the best trial, but there is no '{file}'.")
    snapshot = Snapshot.decode(_content(directory, document, name, "Put the file back, or search anew."), str(file))
    if not _are_same(snapshot.architecture.to_json(), best["architecture"]) or snapshot.seed != document["seed"]:
        raise _damaged(directory / RESULT, f"`best.architecture` and `seed` must be those of '{name}', but differ")
    # Checked before it is built: a document may name a million classes.
    shapes = {op.name: np.shape(snapshot.arrays.get(f"{op.name}/kernel", ())) for op in snapshot.architecture.kernels()}
    wrong = [op.name for op in snapshot.architecture.kernels() if shapes[op.name] != op.kernel_shape]
    if wrong:
        raise _damaged(file, f"it must hold the weights of its architecture, but those of {wrong[0]} are missing")
    try:
        network = snapshot.network()
    except ValueError as error:
        raise _damaged(file, str(error)) from error
    if network.kept_params() != best["kept_params"]:
        raise _damaged(directory / RESULT, f"`best.kept_params` must be those of '{name}', but differ")
    return network


def check_accuracy(network: GrowingNetwork, task: Task, directory: Path, document: Mapping[str, Any]) -> None:
    """Raises ValueError if the network does not reproduce the document's test accuracy."""
    measured = accuracy_per_head(network.logits(task.test.images), task.test.labels)
    recorded = [head["test_accuracy"] for head in document["best"]["heads"]]
    tolerance = SHARE_OF_TIES + 1 / len(task.test)
    is_same = len(measured) == len(recorded)
    if not is_same or any(abs(a - b) > tolerance for a, b in zip(measured, recorded, strict=True)):
        raise ValueError(
            f"'{directory / RESULT}' must tell how good the network is, but `best.heads` have test accuracies of "
            f"{_listed(recorded)} there, and {_listed(measured)} on the test images. It is not the result of these "
            "weights: search anew."
        )


def _are_same(first: Any, second: Any) -> bool:
    """Returns whether two values are equal as JSON; in Python true and 1 are equal."""
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)


def _listed(accuracies: list[float]) -> str:
    return ", ".join(f"{accuracy:.4f}" for accuracy in accuracies)


def _weights_of(trial: str) -> str:
    return f"trials/{trial}/{BEST}"


def _content(directory: Path, document: Mapping[str, Any], name: str, remedy: str) -> bytes:
    """Returns the content of a recorded file."""
    recorded = next((entry for entry in document["files"] if entry["path"] == name), None)
    if recorded is None:
        raise _damaged(directory / RESULT, f"`files` must have an entry for '{name}', but has none")
    content = read_file(directory / name)
    if (len(content), hashlib.sha256(content).hexdigest()) != (recorded["bytes"], recorded["sha256"]):
        raise ValueError(
            f"'{directory / name}' must be the file that the search wrote, of {recorded['bytes']} bytes, but is "
            f"another one, of {len(content)}. {remedy}"
        )
    return content


def _damaged(file: Path, reason: str) -> ValueError:
    return ValueError(f"'{file}' is damaged: {reason}. Search again with `overwrite` (`--overwrite`).")
