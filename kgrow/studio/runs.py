"""The runs of a directory, as the page shows them, and their files."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path
from typing import Any

from kgrow_device.run import METADATA

from kgrow._files import locate, read_file, read_json
from kgrow.reporting.answer import answer_of
from kgrow.run import RESULT, SETTINGS, SOURCE, is_unfinished
from kgrow.studio.command import again_command

REPORT = "report.html"
# What is read of `result.json`, and of the description of an exported network.
FIELDS = {
    "complete": bool,
    "task": {"name": str, "class_names": [str]},
    "config": dict,
    "best": {
        "kept_params": int,
        "macs_dense": int,
        "artefacts": [{"test_accuracy": float, "bytes": int, "ram_bytes": (int, None), "latency_ms": float}],
    },
}
FILES = {"files": [{"path": str}]}


def runs_in(directory: Path) -> list[dict[str, Any]]:
    """Describes each run directly in a directory, the one that changed last first.

    Returns:
        Per run `name`, `state` (`"done"`, `"unfinished"` or `"unreadable"`), `report` (a number that changes with it,
        None without one), and what the state calls for: `data`, `answer`, `classes`, `complete`, `command`, `error`.
    """
    folders = [path for path in directory.iterdir() if path.is_dir()] if directory.is_dir() else []
    runs = [path for path in folders if (path / RESULT).is_file() or is_unfinished(path)]
    runs.sort(key=lambda run: (_changed(run / RESULT) or _changed(run / SETTINGS) or 0, run.name), reverse=True)
    return [described(run) for run in runs]


def described(run: Path) -> dict[str, Any]:
    """Describes one run; see `runs_in`."""
    known = {"name": run.name, "report": _changed(run / REPORT)}
    try:
        if is_unfinished(run):
            return known | _unfinished(run)
        return known | _finished(run, (run / RESULT).stat().st_mtime_ns)
    except (ValueError, OSError) as error:
        return known | {"state": "unreadable", "error": str(error)}


def bundle_of(run: Path) -> bytes:
    """Returns a zip of the exported network with all that goes with it, in a folder named after the run.

    Raises:
        ValueError: If its description is damaged, or names a file outside the run.
        FileNotFoundError: If a file is missing.
    """
    listed = [METADATA, *(entry["path"] for entry in read_json(run / METADATA, FILES)["files"])]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in listed:
            archive.writestr(f"{run.name}/{name}", read_file(locate(run, name)))
    return target.getvalue()


def _changed(file: Path) -> int | None:
    """Returns a number that is another one after each change of a file; None if there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


def _unfinished(run: Path) -> dict[str, Any]:
    data = read_json(run / SOURCE, {"dataset": (str, None)})["dataset"]
    return {"state": "unfinished", "data": data, "command": None if data is None else again_command(run)}


@functools.lru_cache(maxsize=1000)
def _finished(run: Path, changed: int) -> dict[str, Any]:
    """Describes a finished run; `changed` is there to read a changed result again."""
    document = read_json(run / RESULT, FIELDS)
    return {
        "state": "done",
        "data": document["task"]["name"],
        "classes": document["task"]["class_names"],
        "complete": document["complete"],
        "answer": f"{answer_of(document)}.",
        "command": None,
    }
