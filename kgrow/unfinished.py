"""Unfinished searches: one that was interrupted has a network after its first epoch, and may be ended with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kgrow._files import read_json
from kgrow.pipeline import search
from kgrow.recorded import SOURCE as FIELDS
from kgrow.report import unfinished_report_of
from kgrow.result import data_again
from kgrow.run import SETTINGS, SOURCE, read_events

AT_ONCE_S = 0.001  # the allowed time with which a search trains nothing more


def report_so_far(directory: str | os.PathLike[str]) -> str:
    """Returns the report of an unfinished search, an HTML page: what its trials have logged.

    Args:
        directory: Run directory.
    """
    path = Path(directory).absolute()
    events = {folder.name: read_events(folder) for folder in sorted(path.glob("trials/[0-9]*"))}
    why = (
        "This search is running or was interrupted: its candidates, early exits, mistakes and files come with its "
        "result. The command that began it goes on with it; `kgrow export` ends it with its best network so far."
    )
    return unfinished_report_of(path.name, events, why)


def settle(
    directory: str | os.PathLike[str], dataset: Any = None, *, data_dir: str | os.PathLike[str] | None = None
) -> str:
    """Ends an unfinished search with its best network so far: exports, measures and records it.

    The search is not lost: the call that began it goes on from its last checkpoint.

    Args:
        directory: Run directory.
        dataset: Data of the search, if they were held in memory or must be downloaded; see `kgrow.load`.
        data_dir: Directory of TensorFlow Datasets' data, if it has changed.

    Returns:
        What the network is, in words.

    Raises:
        FileNotFoundError: If no epoch has ended yet.
        ValueError: If the data are not those of the search.
        ArithmeticError: If every network failed.
    """
    path = Path(directory).absolute()
    if not any(path.glob("trials/[0-9]*/*.npz")):
        raise FileNotFoundError(
            f"`directory` must hold a search with a network, but in {path} not even the first epoch has ended. Give "
            "the call that began it again."
        )
    task = data_again(path, read_json(path / SOURCE, FIELDS), dataset, data_dir=data_dir)
    found = search(
        task, config=path / SETTINGS, max_time=AT_ONCE_S, directory=path.parent, project_name=path.name, verbose=0
    )
    document, best = found.document, found.document["best"]
    (trial,) = (candidate for candidate in document["candidates"] if candidate["trial"] == best["trial"])
    ended = sum(candidate["status"] == "done" for candidate in document["candidates"])
    state = "whole" if trial["status"] == "done" else "not trained to its end"
    pruned = ", and not yet of its final structure" if best["unfinished"] else ""
    return (
        f"This search is unfinished: {ended} of {document['trials']} trials have ended. Its best network so far is "
        f"that of trial {trial['trial']}, which is {state}{pruned}."
    )
