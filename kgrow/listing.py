"""The runs in a directory, finished or not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kgrow._files import read_json
from kgrow.recorded import SOURCE as FIELDS
from kgrow.recorded import read_result
from kgrow.run import RESULT, SOURCE, is_unfinished


def listed(directory: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Describes each run directly in a directory, by name.

    Args:
        directory: Directory of run directories, such as `kgrow_runs`.

    Returns:
        Per run `name`, `state` (`"done"`, `"unfinished"` or `"unreadable"`) and `data`, the name or folder of its data,
        None if they were held in memory; of a finished one also `trials`, `test_accuracy`, `kept_params`,
        `quantization` and `bytes`; of an unreadable one the `error`.

    Raises:
        FileNotFoundError: If there is no such directory.
    """
    path = Path(directory)
    if not path.is_dir():
        raise FileNotFoundError(f"`directory` must hold runs, but there is no directory '{path}'.")
    found = []
    for folder in sorted(path.iterdir()):
        try:
            if (folder / RESULT).is_file():
                found.append({"name": folder.name, **_finished(folder)})
            elif is_unfinished(folder):
                found.append({"name": folder.name, **_unfinished(folder)})
        except (ValueError, OSError) as error:
            found.append({"name": folder.name, "state": "unreadable", "error": str(error)})
    return found


def _finished(folder: Path) -> dict[str, Any]:
    document = read_result(folder)
    best = document["best"]
    artefact = best["artefacts"][0]
    return {
        "state": "done",
        "data": document["task"]["name"],
        "trials": len(document["candidates"]),
        "test_accuracy": artefact["test_accuracy"],
        "kept_params": best["kept_params"],
        "quantization": artefact["quantization"],
        "bytes": artefact["bytes"],
    }


def _unfinished(folder: Path) -> dict[str, Any]:
    return {"state": "unfinished", "data": read_json(folder / SOURCE, FIELDS)["dataset"]}
