"""`Rows`: a table that fits its terminal, and printing to a stream."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TextIO

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kgrow.reporting.wording import Paragraph

PIPE_COLUMNS = 80
WINNER = "bold green"
# On ASCII terminals rich would replace it by a full grid.
ASCII_HEAD = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def print_plain(content: RenderableType, stream: TextIO) -> None:
    """Writes a rich renderable; into a pipe or a file as plain text of `COLUMNS` columns, 80 by default.

    Args:
        content: Content to write.
        stream: Output stream.
    """
    console = Console(file=stream, force_jupyter=False, width=None if stream.isatty() else _pipe_columns())
    with console.capture() as capture:
        console.print(content, crop=False)  # commands to copy are never cut
    text = capture.get()
    if not console.is_terminal:
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    encoding = console.encoding
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _pipe_columns() -> int:
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and int(given) else PIPE_COLUMNS


class Rows:
    """A table that fits the width by dropping its least important columns, or else by listing its rows vertically.

    Args:
        title: Title of the table.
        headers: Column headers with units. The first column names the row.
        rows: Cells of each row, as text.
        num_words: Number of columns at the left that contain words; the others contain numbers.
        winner: Index of the row to highlight.
        expendable: Headers of the columns that may be dropped, the least important first.
    """

    def __init__(
        self,
        title: str,
        headers: Sequence[str],
        rows: Sequence[Sequence[str]],
        num_words: int,
        winner: int | None = None,
        expendable: Sequence[str] = (),
    ):
        self.title, self.headers, self.rows, self.num_words, self.winner = title, headers, rows, num_words, winner
        self.expendable = expendable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the table or the list."""
        yield Text(f"\n{self.title}", "bold")
        lines = ASCII_HEAD if options.ascii_only else box.SIMPLE_HEAD
        for num_left_out in range(len(self.expendable) + 1):
            left_out = self.expendable[:num_left_out]
            table = self._table(lines, left_out)
            if Measurement.get(console, options.update(width=1000), table).maximum <= options.max_width:
                yield table
                if left_out:
                    yield Paragraph(f"Columns left out at this width: {', '.join(left_out)}.")
                return
        yield from self._list()

    def _table(self, lines: box.Box, left_out: Sequence[str]) -> Table:
        table = Table(box=lines, show_edge=False, padding=(0, 1, 0, 0), header_style="")
        shown = [index for index, header in enumerate(self.headers) if header not in left_out]
        for index in shown:
            justify = "left" if index < self.num_words else "right"
            table.add_column(Text(self.headers[index]), justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for number, row in enumerate(self.rows):
            table.add_row(*(Text(row[index]) for index in shown), style=WINNER if number == self.winner else "")
        return table

    def _list(self) -> Iterator[Text]:
        width = max(map(len, self.headers[1:]))
        for index, row in enumerate(self.rows):
            style = WINNER if index == self.winner else ""
            yield Text(f"{self.headers[0]} {row[0]}".strip(), style)
            for header, cell in zip(self.headers[1:], row[1:], strict=True):
                yield Text(f"  {header:<{width}}  {cell}", style)
