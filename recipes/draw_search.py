"""Writes `docs/search.svg`, the terminal of a search that is run for it.

    python recipes/draw_search.py

The search runs in a pseudo-terminal, which Windows does not have. Tables that are left out of the picture are marked.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

TARGET = Path(__file__).parents[1] / "docs" / "search.svg"
COMMAND = ("kgrow", "search", "digits", "--trials", "2", "--epochs", "10")
WIDTH = 100
LEFT_OUT = ("Pareto front", "Recall per class", "Early exit")  # tables, by how their titles begin
ERASED = re.compile(r"^.*\x1b\[2K", re.DOTALL)  # what stood in a line before it was erased
NOT_A_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-LN-Za-ln-z]")  # codes that move the cursor or hide it
STYLE = re.compile(r"\x1b\[[0-9;]*m")
# rich's own format without its web fonts: a viewer takes a font of its own and fetches nothing.
FORMAT = """<svg class="{unique_id}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px; \
line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def picture(output: str, command: Sequence[str] = COMMAND) -> str:
    """Returns the SVG of a terminal, given all that was written to it."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(Text(f"$ {' '.join(command)}", "bold"))
        for line in shown(output):
            console.print(Text.from_ansi(line), no_wrap=True, overflow="ignore")
        svg = console.export_svg(title="kgrow", theme=MONOKAI, code_format=FORMAT, unique_id="search")
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines())


def shown(output: str) -> Iterator[str]:
    """Yields the lines that stay on the terminal, without the tables of `LEFT_OUT`."""
    is_left_out = False
    for raw in output.replace("\r\n", "\n").rstrip("\n").split("\n"):
        line = NOT_A_STYLE.sub("", ERASED.sub("", raw)).replace("\r", "")
        text = STYLE.sub("", line).strip()
        if text.startswith(LEFT_OUT):
            if not is_left_out:
                yield "[...]"
                yield ""
            is_left_out = True
        elif line.startswith("\x1b[1m"):  # the title of another table
            is_left_out = False
        if not is_left_out:
            yield line


def output_of(command: Sequence[str]) -> str:
    """Runs a command in a terminal of its own and in an empty folder, and returns all that it wrote.

    Raises:
        RuntimeError: If the command fails.
    """
    import pty  # not on Windows

    parts: list[bytes] = []

    def read(descriptor: int) -> bytes:
        parts.append(os.read(descriptor, 65536))
        return parts[-1]

    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"COLUMNS": str(WIDTH), "LINES": "50", "TERM": "xterm-256color", "COLORTERM": ""}
        try:
            os.chdir(folder)
            code = os.waitstatus_to_exitcode(pty.spawn([sys.executable, "-m", *command], read))
        finally:
            os.chdir(here)
        output = b"".join(parts).decode().replace(f"{os.path.realpath(folder)}/", "").replace(f"{folder}/", "")
    if code:
        raise RuntimeError(f"`{' '.join(command)}` must end with 0 to be drawn, but ended with {code}.")
    return output


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    TARGET.write_text(picture(output_of(COMMAND)), "utf-8")
