"""Progress of a search on the standard error stream: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from kgrow._checks import plain
from kgrow.reporting.search_state import SearchState, TrialState
from kgrow.reporting.wording import Paragraph, grouped, one_line, ratios
from kgrow.training.observer import Observer

REFRESH_SECONDS = 0.1
SHORTEST_BAR, LONGEST_BAR = 5, 24
RIGHT_MARGIN = 3  # room for the "^C" echo of a terminal; a wrapped line cannot be overwritten
# Order in which fields are shortened on a narrow terminal: each time a field is named it takes its next shorter form.
SHRINKS = ("kept", "keep", "left", "epoch", "accuracy", "accuracy", "name", "kept", "kept", "accuracy", "left")


def display_for(verbose: int, stream: TextIO | None = None) -> Observer:
    """Returns the display for a stream.

    Args:
        verbose: Verbosity: 0 silent, 1 a live display on a terminal and plain lines elsewhere, 2 always plain lines.
        stream: Output stream; the standard error stream by default, so that standard output contains results only.

    Raises:
        ValueError: If `verbose` is not one of these.
    """
    check_verbose(verbose, "verbose")
    stream = sys.stderr if stream is None else stream
    if verbose == 0 or stream is None:  # a process without a console has no stderr
        return Observer()
    if verbose == 1 and stream.isatty():
        console = Console(file=stream, force_jupyter=False)
        if console.is_terminal and not console.is_dumb_terminal:
            return Display(console)
    return PlainLines(stream)


def check_verbose(value: Any, name: str) -> int:
    """Returns the verbosity as a plain int; True is 1.

    Raises:
        ValueError: If it is not 0, 1 or 2.
    """
    number = plain(value)
    if not isinstance(number, int) or number not in (0, 1, 2):
        raise ValueError(f"`{name}` must be 0 (silent), 1 (live display) or 2 (plain lines), but got {value!r}.")
    return int(number)


class PlainLines(Observer):
    """Writes one plain line per event, epoch and trial, without escape codes; flushed, so that a log can be followed.

    It stops writing when the stream is closed: a search does not end because its log was piped into `head`.

    Args:
        stream: Output stream.
    """

    def __init__(self, stream: TextIO):
        self._stream: TextIO | None = stream
        self._state = SearchState()

    def search_started(self, epochs: Sequence[int], costs: Sequence[float] = ()) -> None:
        """See `Observer.search_started`."""
        self._state.search_started(epochs, costs)

    def time_limited(self, seconds: float) -> None:
        """See `Observer.time_limited`."""
        self._state.time_limited(seconds)

    def trial_started(self, trial: str, keep_ratios: tuple[float, ...], epochs: int) -> None:
        """See `Observer.trial_started`."""
        self._write(self._state.trial_started(trial, keep_ratios, epochs))

    def event(self, trial: str, event: Mapping[str, Any]) -> None:
        """See `Observer.event`."""
        self._write(*self._state.event(event))

    def progress(self, trial: str, epoch: int, done: int, total: int) -> None:
        """See `Observer.progress`."""
        self._write(*self._state.progress(epoch, done, total))

    def trial_finished(self, trial: str, outcome: Mapping[str, Any]) -> None:
        """See `Observer.trial_finished`."""
        self._write(self._state.trial_finished(trial, outcome))

    def note(self, text: str) -> None:
        """See `Observer.note`."""
        self._write(text)

    def _write(self, *lines: str) -> None:
        if self._stream is None or not lines:
            return
        encoding = getattr(self._stream, "encoding", None)
        try:
            self._stream.write("".join(f"{one_line(line, encoding)}\n" for line in lines))
            self._stream.flush()
        except BrokenPipeError:
            _discard(self._stream)
            self._stream = None
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._stream = None


def _discard(stream: TextIO) -> None:
    """Discards the rest of a broken pipe's buffer; otherwise Python fails on it again at exit."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


class Display(Observer):
    """A live line for the current trial; events and finished trials are printed above it.

    The line is redrawn after training steps, not by a thread: nothing of the display runs beside the training.

    Args:
        console: Console of a terminal.
    """

    def __init__(self, console: Console):
        self._console = console
        self._state = SearchState()
        self._drawn = 0.0
        self._live = Live(
            StatusLine(self._state),
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,  # for results, perhaps into a pipe
            redirect_stderr=console.file is sys.stderr,  # warnings appear above the line, not in it
        )

    def __enter__(self) -> Display:
        """Shows the line."""
        self._live.start()
        # rich hides the cursor; a visible cursor leaves a usable terminal after a kill.
        self._console.show_cursor(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Removes the line; after an error or Ctrl-C it stays, to show the trial's progress."""
        self._live.transient = kind is None
        try:
            self._live.stop()
        except OSError:  # the terminal is closed
            self._console.quiet = True

    def search_started(self, epochs: Sequence[int], costs: Sequence[float] = ()) -> None:
        """See `Observer.search_started`."""
        self._state.search_started(epochs, costs)

    def time_limited(self, seconds: float) -> None:
        """See `Observer.time_limited`."""
        self._state.time_limited(seconds)

    def trial_started(self, trial: str, keep_ratios: tuple[float, ...], epochs: int) -> None:
        """See `Observer.trial_started`."""
        self._state.trial_started(trial, keep_ratios, epochs)
        self._draw()

    def event(self, trial: str, event: Mapping[str, Any]) -> None:
        """See `Observer.event`; an epoch changes only the line."""
        lines = self._state.event(event)
        self._draw("cyan", *([] if event["event"] == "epoch" else lines))

    def progress(self, trial: str, epoch: int, done: int, total: int) -> None:
        """See `Observer.progress`."""
        lines = self._state.progress(epoch, done, total)
        if lines or time.monotonic() - self._drawn >= REFRESH_SECONDS:
            self._draw("cyan", *lines)

    def trial_finished(self, trial: str, outcome: Mapping[str, Any]) -> None:
        """See `Observer.trial_finished`."""
        line = self._state.trial_finished(trial, outcome)
        self._draw("green" if outcome["status"] == "done" else "yellow", line)

    def note(self, text: str) -> None:
        """See `Observer.note`."""
        self._draw("", text)

    def _draw(self, style: str = "", *lines: str) -> None:
        self._drawn = time.monotonic()
        try:
            for line in lines:
                self._console.print(Paragraph(one_line(line, self._console.encoding), style))
            self._live.refresh()
        except OSError:  # the terminal is closed; the search continues
            self._console.quiet = True


class StatusLine:
    """The current trial on one line, shortened to the width.

    Args:
        state: State that is read at every drawing.
    """

    def __init__(self, state: SearchState):
        self.state = state

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the line, or nothing between trials."""
        trial = self.state.trial
        if trial is None:
            return
        width = options.max_width - RIGHT_MARGIN
        fields = self._fields(trial, one_line(trial.name, console.encoding))
        texts = _fit(fields, width - SHORTEST_BAR - 1)
        room = width - _length(texts) - 1
        line = Text()
        for name, text in texts.items():
            line.append("  " if line and text else "").append(text, "bold" if name == "accuracy" else "")
            if name == "epoch" and room >= SHORTEST_BAR:
                line.append(" ").append_text(_bar(trial, min(room, LONGEST_BAR), options.ascii_only))
        line.truncate(width, overflow="crop")
        yield line

    def _fields(self, trial: TrialState, name: str) -> dict[str, tuple[str, ...]]:
        """Returns the fields to show, each from its longest form to its shortest."""
        epoch = f"{min(trial.epoch + 1, trial.num_epochs)}/{trial.num_epochs}"
        fields: dict[str, tuple[str, ...]] = {
            "name": (f"trial {name}", ""),
            "keep": (f"keep {ratios(trial.keep_ratios)}", ""),
            "epoch": (f"epoch {epoch}", epoch),
        }
        if trial.accuracies:
            percents = trial.percents
            fields["accuracy"] = (
                f"val{trial.scope} {percents}",
                f"val {percents}",
                percents,
                f"{percents.split()[-2]} %",
            )
        if trial.kept:
            kept, size = grouped(trial.kept_params), grouped(trial.prunable_params)
            fields["kept"] = f"kept {kept} of {size}", f"kept {kept}/{size}", f"kept {kept}", ""
        left = self.state.time_left()
        if left is not None:
            fields["left"] = left.symbols, left.symbols.removesuffix(" left"), ""
        return fields


def _fit(fields: Mapping[str, tuple[str, ...]], width: int) -> dict[str, str]:
    forms = dict.fromkeys(fields, 0)

    def texts() -> dict[str, str]:
        return {name: fields[name][form] for name, form in forms.items()}

    for name in SHRINKS:
        if _length(texts()) <= width:
            break
        if name in forms:
            forms[name] += 1
    return texts()


def _length(texts: Mapping[str, str]) -> int:
    lengths = [cell_len(text) for text in texts.values() if text]
    return sum(lengths) + 2 * (len(lengths) - 1)


def _bar(trial: TrialState, width: int, ascii_only: bool) -> Text:
    full, empty = ("#", "-") if ascii_only else ("━", "─")
    done = round(width * (1.0 if trial.epoch >= trial.num_epochs else trial.fraction))
    return Text.assemble((full * done, "green"), (empty * (width - done), "dim"))
