"""Next steps after a finished run, as commands to copy."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kgrow.registry import BACKBONES, SCRATCH
from kgrow.reporting.wording import one_line

Document = Mapping[str, Any]
FEW_TEST_IMAGES = 300


def next_steps(result: Document, *, details: bool = True) -> Iterator[RenderableType]:
    """Yields commands that classify an image, export for a device and compare formats.

    Args:
        result: Content of `result.json`.
        details: Whether the details were shown; if not, the commands that show them come first.
    """
    yield Text("\nNext steps", "bold")
    directory = os.path.dirname(result["best"]["artefacts"][0]["path"])
    for what, command in (*(() if details else _details(directory)), *_steps(result, directory)):
        yield Text(what)
        # A terminal wraps long lines without breaking them for copying.
        yield Text(f"  {one_line(command)}", no_wrap=True, overflow="ignore")


def _details(directory: str) -> Iterator[tuple[str, str]]:
    run = shlex.quote(shortest(directory))
    yield "See trials, heads, classes, early exits and files (or search with --details):", f"kgrow show {run}"
    yield "See them as a page, with pictures:", f"kgrow report {run}"


def _steps(result: Document, directory: str) -> Iterator[tuple[str, str]]:
    run = shortest(directory)
    is_in_memory = result["source"]["dataset"] is None
    yield "Classify images:", f"python {shlex.quote(os.path.join(run, 'run.py'))} IMAGE"
    if len(result["best"]["heads"]) > 1:
        exits = "Export for a device, with answers as early as a head is sure:"
        python = f"kgrow.load({run!r}, dataset).export('out', early_exit=True)"
        yield exits, python if is_in_memory else f"kgrow export {shlex.quote(run)} --early-exit --out out"
    python = f"kgrow.load({run!r}, dataset).export('out', quantize='int8')"
    if is_in_memory:
        yield "Export in 8 bits:", python
    else:
        yield "Compare all formats:", f"kgrow benchmark {shlex.quote(run)}"
        # A model of one's own may have seen the images of every fold.
        is_published = result["start"] in (SCRATCH, *BACKBONES)
        if is_published and result["task"]["num_test"] < FEW_TEST_IMAGES:
            few = f"With {result['task']['num_test']} test images the accuracy is uncertain. By all images:"
            yield few, f"kgrow cross-validate {shlex.quote(run)}"


def shortest(directory: str) -> str:
    """Returns a directory as a command here would name it: relative to this one where that is shorter."""
    try:
        return min(directory, os.path.relpath(directory), key=len)
    except ValueError:  # on another Windows drive
        return directory
