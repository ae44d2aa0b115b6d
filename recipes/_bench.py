"""What every bench shares: figures with goals, a table, a JSON document."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from kgrow.task import Task


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured number.

    Args:
        figure: Its name.
        value: As measured.
        unit: Of the value.
        goal: What is aimed for, such as `">= 0.98"`; empty for a number that is only reported.
        met: Whether it is reached; None without a goal.
        command: What measures it again.
    """

    figure: str
    value: float
    unit: str
    goal: str
    met: bool | None
    command: str


def figure(name: str, value: float, unit: str, goal: str, command: str) -> Figure:
    """Makes a figure and compares it with its goal, `"<= x"`, `">= x"`, `"< x"` or empty."""
    if not goal:
        return Figure(name, value, unit, goal, None, command)
    sign, bound = goal.split()
    compare = {"<=": value <= float(bound), ">=": value >= float(bound), "<": value < float(bound)}
    return Figure(name, value, unit, goal, compare[sign], command)


def search(arguments: Sequence[str], num_images: int | None = None) -> tuple[dict[str, Any], float, str]:
    """Runs `kgrow search` in a process of its own.

    Args:
        arguments: Its arguments, the data set first.
        num_images: Number of training images that it sees, drawn at random, and largest number of test images; None for
            the whole data set.

    Returns:
        Its `result.json`, its wall seconds and the command.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["kgrow", "search", *arguments]
        started = time.monotonic()
        done = subprocess.run(
            [
                *(
                    [sys.executable, "-m", "kgrow"]
                    if num_images is None
                    else [sys.executable, __file__, str(num_images)]
                ),
                *(*command[1:], "--out", str(Path(folder) / "run"), "--json", "--verbose", "2"),
            ],
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout), time.monotonic() - started, " ".join(command)


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Runs the processes that its body starts on one core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def peak_memory(arguments: Sequence[str]) -> tuple[float, str]:
    """Runs `kgrow search` in a process of its own; returns the most memory that it held, in MiB, and the command."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["kgrow", "search", *arguments]
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--out", str(Path(folder) / "run"), "--verbose", "2"],
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        return _mebibytes(usage), " ".join(command)


def own_peak_memory() -> float:
    """Returns the most memory that this process has held so far, in MiB."""
    import resource  # not on Windows, where the other figures can be measured

    return _mebibytes(resource.getrusage(resource.RUSAGE_SELF))


def _mebibytes(usage: Any) -> float:
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def cifar10(num_images: int | None, num_test_images: int | None) -> Task:
    """Returns CIFAR-10 with its first training and test images, None for all."""
    from kgrow.task import Split, Task

    task = Task.of("cifar10")

    def first(split: Split, count: int | None) -> Split:
        return Split(split.images[:count], split.labels[:count])

    return dataclasses.replace(task, train=first(task.train, num_images), test=first(task.test, num_test_images))


Measure = Callable[[bool], Iterator[Figure]]


def main(
    description: str, measures: Mapping[str, Measure], reductions: str, lengthy: Mapping[str, Measure] | None = None
) -> int:
    """Runs a bench from the command line and returns its exit code: 0, or 1 if a goal is missed.

    A reduced run has no verdicts and ends with 0: its goals are those of the whole run.

    Args:
        description: Of the bench.
        measures: By the name that `--only` takes; each is told whether to run reduced.
        reductions: What `--quick` reduces.
        lengthy: Measures that run only when `--only` names them.
    """
    known = {**measures, **(lengthy or {})}
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", choices=sorted(known), help="measure one figure")
    parser.add_argument("--quick", action="store_true", help=f"a reduced run: {reductions}")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    options = parser.parse_args()
    if options.quick:
        print(f"Reduced run: {reductions}", file=sys.stderr)
    figures = []
    for name in [options.only] if options.only else measures:
        for found in known[name](options.quick):
            measured = dataclasses.replace(found, met=None) if options.quick else found
            figures.append(measured)
            line = f"{measured.figure}: {_rounded(measured.value)} {measured.unit} {measured.goal}"
            print(line, file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps([dataclasses.asdict(measured) for measured in figures], indent=2))
    else:
        for command in dict.fromkeys(measured.command for measured in figures):
            Console().print(_table(command, [measured for measured in figures if measured.command == command]))
    return int(any(measured.met is False for measured in figures))


def _table(command: str, figures: list[Figure]) -> Table:
    table = Table(title=command, title_justify="left")
    for name in ("figure", "value", "unit", "goal", "met"):  # names are folded, never cut: many begin alike
        table.add_column(name, overflow="fold", justify="right" if name == "value" else "left")
    for row in figures:
        met = {True: "yes", False: "no", None: "-"}[row.met]
        table.add_row(row.figure, _rounded(row.value), row.unit, row.goal, met)
    return table


def _rounded(value: float) -> str:
    """Returns four digits, or a large number whole."""
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 10_000 else f"{value:.4g}"


def _search_few(num_images: int, arguments: list[str]) -> int:
    """Runs `kgrow search` on some training images of a data set and at most as many test images."""
    import numpy as np

    from kgrow import cli
    from kgrow.arguments import given_fields, parser
    from kgrow.config import Config
    from kgrow.task import Task

    options = parser().parse_args(arguments)
    whole = Task.of(options.dataset)
    rows = np.random.default_rng(0).permutation(len(whole.train))[:num_images]
    few = (whole.train.images[rows], whole.train.labels[rows])
    config = Config.of(given_fields(options))
    how = {name: value for name, value in vars(config.data).items() if value is not None}
    tested = (whole.test.images[:num_images], whole.test.labels[:num_images])
    return cli.search_and_print(
        Task.of(few, test_data=tested, name=f"{options.dataset}-{num_images}", **how), config, options
    )


if __name__ == "__main__":
    sys.exit(_search_few(int(sys.argv[1]), sys.argv[2:]))
