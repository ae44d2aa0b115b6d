"""The commands of searches, as one would type them."""

from __future__ import annotations

from pathlib import Path

from kgrow._files import read_json
from kgrow._units import check_seconds
from kgrow.run import SETTINGS, SOURCE
from kgrow.searching.limits import devices
from kgrow.task.sources import check_exists


def search_command(data: str, device: str, max_time: str, run: Path) -> list[str]:
    """Returns the command of a new search.

    Args:
        data: Folder of images, or name of a data set.
        device: Name of a device; empty for no limits.
        max_time: Time with its unit, such as "10m"; empty for as long as it takes.
        run: Its run directory.

    Raises:
        ValueError: If one of them is not usable; the message says why.
        FileNotFoundError: If there is no such folder.
    """
    if data.startswith("-"):
        raise ValueError(f"`data` must be a folder or the name of a data set, but got {data!r}.")
    check_exists(data, None, "data")
    words = ["kgrow", "search", data, "--out", str(run)]
    if device:
        if device not in devices():
            raise ValueError(f"`device` must be one of {', '.join(devices())}, but got {device!r}.")
        words += ["--device", device]
    if max_time:
        check_seconds(max_time, "max_time")
        words += ["--max-time", max_time]
    return words


def again_command(run: Path) -> list[str]:
    """Returns the command that goes on with an unfinished run.

    Raises:
        ValueError: If its data were held in memory.
        FileNotFoundError: If there is no such run.
    """
    dataset = read_json(run / SOURCE, {"dataset": (str, None)})["dataset"]
    if dataset is None:
        raise ValueError(
            f"The run {run.name!r} cannot go on from here: its data were held in memory. Give the Python call that "
            "began it again."
        )
    return ["kgrow", "search", dataset, "--config", str(run / SETTINGS), "--out", str(run)]
