"""Tables of the runs in a directory and of the known devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Group

from kgrow.reporting.rows import Rows, print_plain
from kgrow.reporting.wording import Paragraph, grouped, one_line, percent


def print_runs(runs: Sequence[Mapping[str, Any]], directory: str, stream: TextIO) -> None:
    """Writes the result of `kgrow.listing.listed`."""
    if not runs:
        print_plain(Paragraph(f"There is no run in {one_line(directory)}."), stream)
        return
    rows = [
        (
            one_line(run["name"]),
            run["state"],
            one_line(run.get("data") or "-"),
            *(
                (percent(run["test_accuracy"], 2), grouped(run["bytes"]), run["quantization"], str(run["trials"]))
                if run["state"] == "done"
                else ("-",) * 4
            ),
        )
        for run in runs
    ]
    headers = ("run", "state", "data", "test %", "bytes", "format", "trials")
    errors = [Paragraph(f"{one_line(run['name'])}: {one_line(run['error'])}") for run in runs if "error" in run]
    table = Rows(f"Runs in {one_line(directory)}", headers, rows, num_words=3, expendable=("trials", "format", "data"))
    print_plain(Group(table, *errors), stream)


def print_devices(devices: Mapping[str, Mapping[str, Any]], stream: TextIO) -> None:
    """Writes the devices whose limits `--device` knows.

    Args:
        devices: Result of `kgrow.searching.limits.devices`.
        stream: Output stream.
    """
    rows = [(name, grouped(device["flash_bytes"]), grouped(device["ram_bytes"])) for name, device in devices.items()]
    table = Rows("Devices", ("name", "flash, bytes", "RAM, bytes"), rows, num_words=1)
    whats = [Paragraph(f"{name}: {device['what']}; {device['source']}") for name, device in devices.items()]
    note = Paragraph("A search for a device uses half of both; the other half is for the program.")
    print_plain(Group(table, note, Paragraph("What they are, and where the figures come from", "bold"), *whats), stream)
