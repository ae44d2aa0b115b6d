"""The commands that show what searches left: show, compare, report, list and devices."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import kgrow
from kgrow._checks import check_path
from kgrow._ownership import is_locked
from kgrow.commands import DONE, FAILED, check_data, say, write
from kgrow.run import RESULT, is_unfinished

# Seconds between two looks at the logs of a run that is watched, and after which it may have been left.
WATCHED_S, LEFT_S = 1.0, 20.0


def run_show(options: argparse.Namespace) -> int:
    """`kgrow show`."""
    from kgrow.recorded import placed, read_result
    from kgrow.reporting.table import print_summary

    path = Path(check_path(options.run, "RUN"))
    if not (path / RESULT).is_file():
        raise FileNotFoundError(
            f"`RUN` must be the directory of a finished search, but there is no '{path / RESULT}'. `kgrow list` names "
            "the runs of a directory; `kgrow export` ends an unfinished one with its best network so far."
        )
    document = read_result(path)
    shown = placed(document, path)
    write(lambda: print(json.dumps(document, indent=2)) if options.json else print_summary(shown, sys.stdout))
    return DONE


def run_compare(options: argparse.Namespace) -> int:
    """`kgrow compare`."""
    check_data(options)
    first, second = (
        kgrow.load(check_path(run, "RUN"), options.dataset, data_dir=options.data_dir) for run in options.runs
    )
    found = first.compare(second)
    document = {"figures": found.figures, "difference": found.difference, "p_value": found.p_value}
    write(lambda: print(json.dumps(document, indent=2)) if options.json else found.print(sys.stdout))
    return DONE


def run_report(options: argparse.Namespace) -> int:
    """`kgrow report`."""
    check_data(options)
    from kgrow.report import check_free, write_report
    from kgrow.unfinished import report_so_far

    run = Path(check_path(options.run, "RUN"))
    target = Path(check_path(options.out, "--out")) if options.out is not None else run / "report.html"
    check_free(target, options.overwrite)
    if options.watch and (is_unfinished(run) or (run / RESULT).is_file()):
        for page in _pages(run, lambda: report_so_far(run)):
            write_report(target, page)
    if is_unfinished(run):
        write_report(target, report_so_far(run))
    else:
        kgrow.load(run, options.dataset, data_dir=options.data_dir).report(target, overwrite=True)
    write(lambda: print(target))
    return DONE


def _pages(run: Path, make: Callable[[], str]) -> Iterator[str]:
    """Yields the page of an unfinished run again after each change of its logs, until it has a result or is left."""
    seen, since = None, time.monotonic()
    while not (run / RESULT).is_file():
        lengths = [path.stat().st_size for path in sorted(run.glob("trials/*/events.jsonl"))]
        if lengths != seen:
            yield make()
            seen, since = lengths, time.monotonic()
        elif time.monotonic() - since > LEFT_S and not is_locked(run):
            return  # it was killed, or has failed
        time.sleep(WATCHED_S)


def run_list(options: argparse.Namespace) -> int:
    """`kgrow list`."""
    from kgrow.listing import listed
    from kgrow.reporting.listing import print_runs

    runs = listed(check_path(options.directory, "DIR"))
    write(
        lambda: print(json.dumps(runs, indent=2)) if options.json else print_runs(runs, options.directory, sys.stdout)
    )
    return DONE


def run_completion(options: argparse.Namespace) -> int:
    """`kgrow completion`."""
    from kgrow.completion import completion_of

    try:
        script = completion_of(options.shell)
    except ImportError as error:
        say(f"kgrow: {error}")
        return FAILED
    write(lambda: print(script))
    return DONE


def run_devices(options: argparse.Namespace) -> int:
    """`kgrow devices`."""
    from kgrow.reporting.listing import print_devices
    from kgrow.searching.limits import devices

    known = devices()
    write(lambda: print(json.dumps(known, indent=2)) if options.json else print_devices(known, sys.stdout))
    return DONE
