"""The final table of a search, from the document `result.json`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kgrow.reporting.wording import Paragraph, agreement, duration, grouped, one_line, percent, ratios

PIPE_COLUMNS = 80
NUM_EXIT_ROWS = 5
WINNER = "bold green"
# rich would put a full grid in its place where there is only ASCII.
ASCII_HEAD = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)

Document = Mapping[str, Any]


def print_summary(result: Document, stream: TextIO) -> None:
    """Writes the final table.

    Args:
        result: The contents of `result.json`.
        stream: Where to.
    """
    print_plain(summary(result), stream)


def print_plain(content: RenderableType, stream: TextIO) -> None:
    """Writes something that rich can print; into a pipe or a file as plain text of 80 columns.

    Args:
        content: What to write.
        stream: Where to.
    """
    console = Console(file=stream, force_jupyter=False, width=None if stream.isatty() else PIPE_COLUMNS)
    with console.capture() as capture:
        console.print(content)
    text = capture.get()
    if not console.is_terminal:
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    encoding = console.encoding
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def summary(result: Document) -> RenderableType:
    """Returns what a stranger should know of a search: which trial won and why, and what its file can do.

    Args:
        result: The contents of `result.json`.

    Returns:
        Something that rich can print at any width: where a table does not fit, its rows are listed one below the other.
    """
    best = result.get("best")
    if not best:
        return Group(_opening(result), *_trials(result))
    parts = (*_limits(result), *_trials(result), *_heads(best), *_early_exit(best), *_artefacts(best))
    return Group(_opening(result), _best(best), *parts)


class Rows:
    """A table; where that is too wide, its rows one below the other.

    Args:
        title: What the rows are.
        headers: One per column, with the unit. The first column names the row.
        rows: Cells as text.
        num_words: Columns at the left that hold words; the others hold numbers.
        winner: Index of the row to set off.
    """

    def __init__(
        self,
        title: str,
        headers: Sequence[str],
        rows: Sequence[Sequence[str]],
        num_words: int,
        winner: int | None = None,
    ):
        self.title, self.headers, self.rows, self.num_words, self.winner = title, headers, rows, num_words, winner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the table or the list."""
        yield Text(f"\n{self.title}", "bold")
        table = self._table(ASCII_HEAD if options.ascii_only else box.SIMPLE_HEAD)
        if Measurement.get(console, options.update(width=1000), table).maximum <= options.max_width:
            yield table
        else:
            yield from self._list()

    def _table(self, lines: box.Box) -> Table:
        table = Table(box=lines, show_edge=False, padding=(0, 1, 0, 0), header_style="")
        for index, header in enumerate(self.headers):
            table.add_column(Text(header), justify="left" if index < self.num_words else "right", no_wrap=True)
        for index, row in enumerate(self.rows):
            table.add_row(*map(Text, row), style=WINNER if index == self.winner else "")
        return table

    def _list(self) -> Iterator[Text]:
        width = max(map(len, self.headers[1:]))
        for index, row in enumerate(self.rows):
            style = WINNER if index == self.winner else ""
            yield Text(f"{self.headers[0]} {row[0]}".strip(), style)
            for header, cell in zip(self.headers[1:], row[1:], strict=True):
                yield Text(f"  {header:<{width}}  {cell}", style)


def _opening(result: Document) -> Paragraph:
    task, num_trials = result["task"], len(result["candidates"])
    tried = f"{num_trials} {'trial' if num_trials == 1 else 'trials'}"
    took = duration(result["wall_s"])
    return Paragraph(f"{one_line(task['name'])}: {tried} in {took}, seed {result['seed']}.", "bold")


def _best(best: Document) -> Paragraph:
    kept, size = grouped(best["kept_params"]), grouped(best["prunable_params"])
    return Paragraph(
        f"The best network has test accuracy {percent(best['test_accuracy'], 2)} % with {kept} of {size} weights."
    )


def _limits(result: Document) -> Iterator[RenderableType]:
    """Yields what was allowed and what is used of it."""
    best = result["best"]
    limits = {name: limit for name, limit in (result["config"].get("limits") or {}).items() if limit is not None}
    if not limits or not best.get("artefacts"):
        return
    file = best["artefacts"][0]
    used = {
        "params": best["kept_params"],
        "macs": best["macs_dense"],
        "flash_bytes": file["bytes"],
        "ram_bytes": file["ram_bytes"],
        "latency_ms": file["latency_ms"],
    }
    words = (f"{name} {_figure(used[name])} of {_figure(limit)}" for name, limit in limits.items())
    yield Paragraph(f"Within the limits: {', '.join(words)}.")


def _figure(value: float) -> str:
    return grouped(value) if isinstance(value, int) else f"{value:.3g}"


def _winner(result: Document) -> int | None:
    """Returns the index of the trial that `best` describes."""
    best = result.get("best")
    if not best:
        return None
    key = "trial" if "trial" in best else "keep_ratios"
    found = (i for i, trial in enumerate(result["candidates"]) if trial[key] == best[key])
    return next(found, None)


def _trials(result: Document) -> Iterator[RenderableType]:
    trials, winner = result["candidates"], _winner(result)
    rows = [
        (
            f"{trial['trial']}{' *' if index == winner else ''}",
            _status(trial),
            _network(trial),
            ratios(trial["keep_ratios"]),
            percent(trial["val_accuracy"], 2),
            grouped(trial["kept_params"]),
            grouped(trial["macs"]),
        )
        for index, trial in enumerate(trials)
    ]
    headers = ("trial", "status", "network", "keep ratio", "validation %", "weights", "MACs")
    yield Rows("Trials", headers, rows, num_words=4, winner=winner)
    for trial in trials:
        if trial.get("error"):
            yield Paragraph(f"Trial {trial['trial']} {trial['status']}: {one_line(trial['error'])}", "yellow")
    yield Paragraph(_reason(trials, winner))
    networks = result.get("networks")
    if networks and networks["infeasible"]:
        yield Paragraph(
            f"{networks['infeasible']} of the {networks['offered']} networks of the space break a limit however much "
            "is pruned; none of these was trained."
        )
    if result.get("calibration"):
        yield Paragraph(agreement(result["calibration"]))


def _status(trial: Document) -> str:
    status = f"as {trial['same_as']}" if trial["same_as"] else trial["status"]
    if not trial.get("estimated") or trial["val_accuracy"] is None:
        return status
    return "approximate" if status == "done" else f"{status}, approximate"


def _network(trial: Document) -> str:
    """Returns such as "4 x 0.5": blocks, and the factor on their filters."""
    values = trial["values"]
    links = f" {values['links']}" if values["links"] != "none" else ""
    return f"{values['depth']} x {values['width']:g}{links}"


def _reason(trials: Sequence[Document], winner: int | None) -> str:
    if winner is None:
        return "No trial has a result."
    chosen = trials[winner]
    name, accuracy = f"* Trial {chosen['trial']}", chosen["val_accuracy"]
    others = [t for t in trials if t is not chosen and t["val_accuracy"] is not None and not t.get("estimated")]
    if not others:
        return f"{name} is chosen: no other has a result."
    rival = max(others, key=lambda trial: trial["val_accuracy"])
    gained = f"{percent(accuracy, 2)} %, trial {rival['trial']} {percent(rival['val_accuracy'], 2)} %"
    if accuracy > rival["val_accuracy"]:
        return f"{name} is chosen: its last head has the highest validation accuracy ({gained})."
    if accuracy == rival["val_accuracy"] and chosen["kept_params"] <= rival["kept_params"]:
        return f"{name} is chosen: no validation accuracy is higher ({gained}), and it keeps the fewest weights."
    reward, other = chosen["objective"], rival["objective"]
    if reward > other:  # another network may be as accurate for more than it is worth
        return (
            f"{name} is chosen: its objective is {reward:.4f}, that of trial {rival['trial']} {other:.4f} ({gained})."
        )
    return f"{name} is chosen ({gained})."


def _heads(best: Document) -> Iterator[RenderableType]:
    heads = best["heads"]
    rows = [
        (
            f"{index}{' (last)' if index == len(heads) - 1 else ''}",
            percent(head["val_accuracy"], 2),
            percent(head["test_accuracy"], 2),
            grouped(head["macs"]),
        )
        for index, head in enumerate(heads)
    ]
    headers = ("head", "validation %", "test %", "MACs per image")
    yield Rows(f"Heads of trial {one_line(best.get('trial', ''))}".rstrip(), headers, rows, num_words=1)
    yield Paragraph(
        "Each block ends in a head that can answer; `kgrow export --exit-index` takes its number. MACs: "
        "multiply-accumulate operations of the network up to there, "
        f"pruned weights included; without them {grouped(best['macs_sparse'])} of {grouped(best['macs_dense'])}. The "
        "test images decided nothing."
    )


def _early_exit(best: Document) -> Iterator[RenderableType]:
    points = sorted(best.get("early_exit") or (), key=lambda point: point["mean_macs"])
    if not points:
        return
    full = best["macs_dense"]
    rows = [
        (
            f"{point['threshold']:g}",
            percent(point["test_accuracy"], 2),
            grouped(point["mean_macs"]),
            percent(point["mean_macs"] / full),
        )
        for point in _spread(points)
    ]
    yield Rows("Early exit", ("threshold", "test %", "mean MACs per image", "% of the last head's"), rows, num_words=1)
    yield Paragraph(
        "The first head whose largest probability reaches the threshold answers, and later ones are not run; where "
        "none does, the most confident one answers. An export may let the last one answer then."
    )


def _spread(points: Sequence[Document]) -> list[Document]:
    """Returns few points, their costs as evenly spread as they come, the cheapest and the dearest among them."""
    low, high = points[0]["mean_macs"], points[-1]["mean_macs"]
    targets = [low + (high - low) * step / (NUM_EXIT_ROWS - 1) for step in range(NUM_EXIT_ROWS)]
    nearest = {min(range(len(points)), key=lambda i: abs(points[i]["mean_macs"] - target)) for target in targets}
    return [points[index] for index in sorted(nearest)]


def _artefacts(best: Document) -> Iterator[RenderableType]:
    artefacts = best.get("artefacts") or ()
    if not artefacts:
        return
    rows = [
        (
            one_line(os.path.basename(artefact["path"])),
            artefact["quantization"],
            grouped(artefact["bytes"]),
            grouped(artefact["gzip_bytes"]),
            percent(artefact["test_accuracy"], 2),
            f"{artefact['latency_ms']:.3g}",
            f"{artefact['max_abs_diff']:.1e}",
        )
        for artefact in artefacts
    ]
    headers = ("file", "weights", "bytes", "gzip bytes", "test %", "latency ms", "max |diff|")
    yield Rows("Files, each measured by running it", headers, rows, num_words=2)
    runtime = one_line(artefacts[0].get("runtime") or "the TensorFlow Lite interpreter")
    yield Paragraph(
        f"Latency: one image on one thread of {runtime} on this machine. Max |diff|: largest difference of a logit "
        "from the Keras network's, over all test images."
    )
    for artefact in artefacts:
        yield Text(one_line(artefact["path"]), overflow="fold")
