"""The command line. Exit codes: 0 done, 1 failed, 2 bad usage, 3 limits cannot be met, 130 interrupted."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import kgrow

DONE, FAILED, BAD_USAGE, LIMITS_NOT_MET, INTERRUPTED = 0, 1, 2, 3, 130
SECONDS = {"s": 1, "m": 60, "h": 3600}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Args:
        arguments: Without the program's name; `sys.argv` by default.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    try:
        return options.command(options)
    except KeyboardInterrupt:
        _say(f"Interrupted; the checkpoint is kept. To go on:\n  {shlex.join(['kgrow', *given])}")
        return INTERRUPTED
    except kgrow.LimitError as problem:
        _say(f"kgrow: {problem}")
        return LIMITS_NOT_MET
    except (ValueError, TypeError, FileNotFoundError, FileExistsError, PermissionError, BlockingIOError) as problem:
        _say(f"kgrow: {problem}")
        return BAD_USAGE
    except (OSError, ArithmeticError) as problem:
        _say(f"kgrow: {problem}")
        return FAILED


def parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands."""
    top = argparse.ArgumentParser(prog="kgrow", description="Grow, prune and search small image classifiers.")
    top.add_argument("--version", action="version", version=f"kgrow {kgrow.__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    search = commands.add_parser(
        "search",
        help="find, export and prove the best classifier within the limits",
        description="Find, export and prove the best classifier within the limits. The same command goes on where it "
        "was stopped.",
    )
    search.set_defaults(command=run_search)
    add = search.add_argument
    add("dataset", metavar="DATASET", help='"digits", a TFDS name such as "mnist", or a folder with one per class')
    add("--out", metavar="DIR", help="the run directory (default: kgrow_runs/DATASET)")
    add("--space", default="compact", help="compact (default), seed_dense or seed_plain")
    add("--preset", default="default", help="default, base, grow, grow_oneshot or grow_iter")
    add("--epochs", type=int, metavar="N", help="stretch the preset to this length")
    add("--batch-size", type=int, metavar="N")
    add("--keep-ratio", type=keep_ratios, metavar="R", help="0.5, or one per block: 0.8,0.7,0.6 (default: try a few)")
    add("--criterion", default="snip", help="snip (default), snip_reinit, magnitude or random")
    add("--strategy", choices=["one-shot", "iterative"], help="default: the preset's")
    add("--scope", default="block", help="ranked together: layer, block (default) or global")
    add("--max-params", type=int, metavar="N", help="most kept connections")
    add("--max-time", type=duration, metavar="TIME", help="such as 90s, 10m or 2h: no epoch starts after it")
    add("--image-size", type=int, metavar="PIXELS", help="resize images to this side")
    add("--data-dir", metavar="DIR", help="where TensorFlow Datasets keeps its data")
    add("--seed", type=int, default=0, metavar="N")
    add("--overwrite", action="store_true", help="replace a run of another configuration in DIR")
    add("--json", action="store_true", help="print result.json to the standard output instead of the table")
    add("--verbose", type=int, choices=[0, 1, 2], default=1, help="0 silent, 1 live display (default), 2 lines")
    return top


def run_search(options: argparse.Namespace) -> int:
    """`kgrow search`."""
    out = Path(options.out) if options.out else None
    result = kgrow.search(
        options.dataset,
        limits=kgrow.Limits(params=options.max_params),
        space=options.space,
        preset=options.preset,
        epochs=options.epochs,
        batch_size=options.batch_size,
        keep_ratio=options.keep_ratio,
        criterion=options.criterion,
        strategy=options.strategy,
        scope=options.scope,
        max_time=options.max_time,
        image_size=options.image_size,
        data_dir=options.data_dir,
        seed=options.seed,
        directory=out.parent if out else "kgrow_runs",
        project_name=out.name if out else None,
        overwrite=options.overwrite,
        verbose=options.verbose,
    )
    if options.json:
        _write(lambda: print(json.dumps(result.document, indent=2)))
    else:
        _write(result.summary)
    return DONE


def keep_ratios(text: str) -> float | tuple[float, ...]:
    """Parses `0.5` or `0.8,0.7,0.6`; the range is checked later, with a message that explains it."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or numbers joined by commas, but got {text!r}") from None
    return values if "," in text else values[0]


def duration(text: str) -> float:
    """Parses `90s`, `10m`, `2h` or plain seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 10m or 2h, but got {text!r}")
    return float(match[1]) * SECONDS[match[2] or "s"]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _write(show: Callable[[], None]) -> None:
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has what it wanted; without this the interpreter complains again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
