"""The command line. Exit codes: 0 done, 1 failed, 2 bad usage, 3 limits cannot be met, 130 interrupted."""

from __future__ import annotations

import argparse
import dataclasses
import json
import linecache
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import kgrow
from kgrow._checks import check_path
from kgrow._process import own_process
from kgrow.arguments import given_fields, parser
from kgrow.commands import BAD_USAGE, DONE, FAILED, INTERRUPTED, LIMITS_NOT_MET, check_data, say, write
from kgrow.config import Config
from kgrow.config.removed import check_command
from kgrow.run import is_unfinished
from kgrow.task.sources import check_exists
from kgrow.views import run_compare, run_completion, run_devices, run_list, run_report, run_show

OURS = (kgrow.__name__, "kgrow_device")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Args:
        arguments: Arguments without the program's name; `sys.argv` by default.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        check_command(given)
    except ValueError as problem:
        say(f"kgrow: {problem}")
        return BAD_USAGE
    options = parser().parse_args(given)
    try:
        return COMMANDS[options.command](options)
    except KeyboardInterrupt:
        if COMMANDS[options.command] is not run_search:
            say("Interrupted.")
            return INTERRUPTED
        again = [argument for argument in given if argument != "--overwrite"]  # which would start over again
        say(f"Interrupted; the checkpoint is kept. To go on:\n  {shlex.join(['kgrow', *again])}")
        return INTERRUPTED
    except Exception as problem:
        code = _exit_code(problem)
        if code is None:
            raise
        say(f"kgrow: {problem}")
        return code


def run_search(options: argparse.Namespace) -> int:
    """`kgrow search` and `kgrow compress`."""
    # Runs before TensorFlow is imported, which is slow.
    config = Config.of(options.config, given_fields(options))
    if options.command == "compress" and options.out is None:
        options.out = str(Path("kgrow_runs") / Path(config.growth.start).stem)
    check_exists(options.dataset, config.data.data_dir, "dataset")
    with own_process():
        return search_and_print(options.dataset, config, options)


def search_and_print(dataset: Any, config: Config, options: argparse.Namespace) -> int:
    """Searches on the data with the options of a command line, and prints the result."""
    out = None if options.out is None else Path(check_path(options.out, "--out")).absolute()
    result = kgrow.search(
        dataset,
        config=config,
        directory=out.parent if out else "kgrow_runs",
        project_name=out.name if out else None,
        overwrite=options.overwrite,
        verbose=options.verbose,
    )
    if options.json:
        write(lambda: print(json.dumps(result.document, indent=2)))
    else:
        write(lambda: result.summary(details=options.details))
    return DONE


def run_export(options: argparse.Namespace) -> int:
    """`kgrow export`."""
    check_data(options)
    from kgrow.reporting.artefacts import print_artefact

    _settle(options, options.run)
    tuning = {} if options.fine_tune_epochs is None else {"fine_tune_epochs": options.fine_tune_epochs}
    artefact = kgrow.load(options.run, options.dataset, data_dir=options.data_dir).export(
        options.out,
        quantize=options.quantize,
        exit_index=options.exit_index,
        early_exit=early_exit(options),
        input_dtype=options.input_dtype,
        output_dtype=options.output_dtype,
        single_output=options.single_output,
        max_drop=options.max_drop / 100,
        micro=options.micro,
        name=options.name,
        **tuning,
    )
    document = dataclasses.asdict(artefact)
    write(lambda: print(json.dumps(document, indent=2)) if options.json else print_artefact(document, sys.stdout))
    return DONE


def _settle(options: argparse.Namespace, directory: str) -> None:
    """Ends an unfinished run with its best network so far, and says so."""
    if is_unfinished(directory):
        from kgrow.unfinished import settle

        say(settle(directory, options.dataset, data_dir=options.data_dir))


def run_benchmark(options: argparse.Namespace) -> int:
    """`kgrow benchmark`."""
    check_data(options)
    _settle(options, options.path)
    from kgrow.benchmark import benchmark
    from kgrow.reporting.artefacts import print_benchmark

    document = benchmark(options.path, options.dataset, data_dir=options.data_dir, num_threads=options.threads)
    write(lambda: print(json.dumps(document, indent=2)) if options.json else print_benchmark(document, sys.stdout))
    return DONE


def run_cross_validate(options: argparse.Namespace) -> int:
    """`kgrow cross-validate`."""
    check_data(options)
    from kgrow.cross_validation import cross_validate
    from kgrow.reporting.cross_validation import print_cross_validation

    with own_process():
        found = cross_validate(
            options.run,
            options.dataset,
            folds=options.folds,
            max_time=options.max_time,
            data_dir=options.data_dir,
            overwrite=options.overwrite,
            verbose=options.verbose,
        )
    write(lambda: print(json.dumps(found, indent=2)) if options.json else print_cross_validation(found, sys.stdout))
    return DONE


def run_studio(options: argparse.Namespace) -> int:
    """`kgrow studio`."""
    from kgrow.studio.serve import serve

    try:
        serve(options.out, options.port, options.opens)
    except ImportError as error:
        say(f"kgrow: {error}")
        return FAILED
    return DONE


def early_exit(options: argparse.Namespace) -> Any:
    """Returns the early-exit settings; False if no option asks for them."""
    from kgrow.exporting import EarlyExit

    given = {
        "threshold": options.threshold,
        "max_loss": None if options.max_exit_loss is None else options.max_exit_loss / 100,
        "max_cost": options.max_exit_cost,
        "stages": options.stages or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return EarlyExit(**given) if given or options.early_exit else False


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "search": run_search,
    "compress": run_search,
    "export": run_export,
    "benchmark": run_benchmark,
    "cross-validate": run_cross_validate,
    "show": run_show,
    "compare": run_compare,
    "report": run_report,
    "list": run_list,
    "devices": run_devices,
    "completion": run_completion,
    "studio": run_studio,
}


def _exit_code(problem: Exception) -> int | None:
    """Returns the exit code of an error with a message for the user, None for a programming error."""
    if isinstance(problem, kgrow.LimitError):
        return LIMITS_NOT_MET
    if isinstance(problem, ValueError | TypeError):
        return BAD_USAGE if _is_ours(problem) else None
    if isinstance(problem, FileNotFoundError | FileExistsError | PermissionError | BlockingIOError):
        return BAD_USAGE
    if isinstance(problem, OSError | ArithmeticError):
        return FAILED
    return FAILED if isinstance(problem, kgrow.ExportError) else None  # last: looking it up loads TensorFlow


def _is_ours(problem: Exception) -> bool:
    """Returns whether this project raised an error to tell a user what to fix; any other is a programming error.

    An error that no `raise` statement raised, such as that of a wrong unpacking, is one too.
    """
    *_, (frame, number) = traceback.walk_tb(problem.__traceback__)
    line = linecache.getline(frame.f_code.co_filename, number, frame.f_globals).strip()
    is_raised = not line or line.startswith("raise ")  # without its source, nothing tells
    return is_raised and str(frame.f_globals.get("__name__")).partition(".")[0] in OURS
