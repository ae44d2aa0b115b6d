"""The command line. Exit codes: 0 done, 1 failed, 2 bad usage, 3 limits cannot be met, 130 interrupted."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
    except kgrow.ExportError as problem:  # last, because looking it up loads TensorFlow
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
    search.set_defaults(command=run_search, cluster=chief_of)
    _add_search(search.add_argument)
    add = search.add_argument
    add("--chief", metavar="[HOST:]PORT", help="serve the trials to `kgrow worker`s there, in place of training them")
    add("--lease", type=duration, default=60.0, metavar="TIME", help="a worker not heard of for it is given up (60s)")
    _add_worker(commands)
    _add_export(commands)
    _add_benchmark(commands)
    return top


def _add_worker(commands: Any) -> None:
    worker = commands.add_parser(
        "worker",
        help="train trials of a search that another process serves",
        description="Train trials of a search that `kgrow search --chief` serves. Takes the options of that search; "
        "its run directory must be on a file system that both share.",
    )
    worker.set_defaults(command=run_search, cluster=worker_of)
    _add_search(worker.add_argument)
    add = worker.add_argument
    add("--chief", metavar="[HOST:]PORT", help="where the search serves its trials")
    add("--wait", type=duration, default=60.0, metavar="TIME", help="how long the chief may be out of reach (60s)")


def _add_search(add: Callable[..., Any]) -> None:
    add("dataset", metavar="DATASET", help='"digits", a TFDS name such as "mnist", or a folder with one per class')
    add("--out", metavar="DIR", help="the run directory (default: kgrow_runs/DATASET)")
    add("--space", default="compact", help="compact (default), seed, seed_dense or seed_plain")
    add("--preset", default="default", help="default, base, grow, grow_oneshot or grow_iter")
    add("--epochs", type=int, metavar="N", help="stretch the preset to this length")
    add("--batch-size", type=int, metavar="N")
    add("--keep-ratio", type=keep_ratios, metavar="R", help="0.5, or one per block: 0.8,0.7,0.6 (default: searched)")
    add("--criterion", default="snip", help="snip (default), snip_reinit, magnitude, bayes or random")
    add("--strategy", help="one-shot, iterative or bayes (the evidence decides how many stay); default: the preset's")
    add("--scope", default="block", help="ranked together: layer, block (default) or global")
    add("--channel-keep-ratio", type=keep_ratios, metavar="R", help="kept fraction of the channels, one or per block")
    add("--channel-criterion", default="gate", help="gate (default), bayes, snip, norm or bn_scale")
    add("--channel-multiple", type=int, default=1, metavar="N", help="widths become multiples of N")
    add(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="params=10k, macs=2M, flash=64KB, ram=32KiB or latency=5ms; hard, and may be given several times",
    )
    add("--max-params", type=int, metavar="N", help="the same as --limit params=N")
    add("--device", metavar="NAME", help="limits of a device such as rp2040: half of its flash and RAM")
    add("--trials", type=int, default=4, metavar="N", help="candidates to try at most (4)")
    add("--oracle", default="bayesian", help="bayesian (default), random, grid or hyperband")
    add(
        "--estimator",
        default="full",
        help="full (default), or approximate: low_fidelity, supernet, extrapolation or evidence",
    )
    add("--calibrate", action="store_true", help="tell how far the estimator can be trusted, over 10 full trainings")
    add(
        "--objective",
        default="accuracy",
        help="accuracy (default), mixed:A, energy_constraint:T or accuracy_constraint:T",
    )
    add("--distribute", metavar="STRATEGY", help="mirrored: all GPUs of this machine share every batch")
    add("--quantize", metavar="KIND", help="float32 or int8 (default: int8 if a limit concerns the file)")
    add("--max-time", type=duration, metavar="TIME", help="such as 90s, 10m or 2h: no epoch starts after it")
    add("--image-size", type=int, metavar="PIXELS", help="resize images to this side")
    add("--data-dir", metavar="DIR", help="where TensorFlow Datasets keeps its data")
    add("--seed", type=int, default=0, metavar="N")
    add("--overwrite", action="store_true", help="replace a run of another configuration in DIR")
    add("--json", action="store_true", help="print result.json to the standard output instead of the table")
    add("--verbose", type=int, choices=[0, 1, 2], default=1, help="0 silent, 1 live display (default), 2 lines")


def _add_export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="write the best network of a run for a device",
        description="Write the best network of a finished run for a device, proved on the test images.",
    )
    export.set_defaults(command=run_export)
    add = export.add_argument
    add("run", metavar="RUN", help="the run directory of a finished search")
    add("--out", required=True, metavar="PATH", help="a file ending in .tflite, or a folder for all that goes with it")
    add("--quantize", metavar="KIND", help="float32, float16, dynamic or int8 (default: that of the search)")
    add("--exit-index", type=int, metavar="K", help="the head that answers, from 0 (default: the last one)")
    add("--early-exit", action="store_true", help="answer at the first head that is confident enough")
    exits = export.add_argument_group("early exits", "Each of these asks for early exits by itself.").add_argument
    exits("--threshold", type=float, metavar="T", help="that confidence (default: chosen on the validation images)")
    exits("--max-exit-loss", type=float, metavar="POINTS", help="accuracy that early exits may cost (0.5)")
    exits("--max-exit-cost", type=float, metavar="FRACTION", help="mean MACs allowed, in place of --max-exit-loss")
    exits("--stages", action="store_true", help="a file per stage in place of one")
    add("--input-dtype", metavar="TYPE", help="of the raw pixels fed: uint8 or float32 (default: that of the data)")
    add("--output-dtype", default="float32", help="float32 (default), or uint8 or int8 with --quantize int8")
    add("--fine-tune-epochs", type=int, default=0, metavar="N", help="train N epochs with 8 bits simulated before")
    add("--max-drop", type=float, default=1.0, metavar="POINTS", help="accuracy that quantization may cost (1)")
    add("--micro", action="store_true", help="fail unless TensorFlow Lite Micro runs it")
    _add_data(add)


def _add_benchmark(commands: Any) -> None:
    benchmark = commands.add_parser(
        "benchmark",
        help="measure every format of a run, or an exported file",
        description="Measure every format of a finished run side by side, or one exported file or folder.",
    )
    benchmark.set_defaults(command=run_benchmark)
    add = benchmark.add_argument
    add("path", metavar="FILE|RUN")
    add("--threads", type=int, default=1, metavar="N")
    _add_data(add)


def _add_data(add: Callable[..., Any]) -> None:
    add("--dataset", metavar="DATASET", help="the data set, if the run does not remember it")
    add("--data-dir", metavar="DIR", help="where TensorFlow Datasets keeps its data, if that has changed")
    add("--json", action="store_true", help="print a JSON document instead of the table")


def run_search(options: argparse.Namespace) -> int:
    """`kgrow search` and `kgrow worker`."""
    out = Path(options.out) if options.out else None
    result = kgrow.search(
        options.dataset,
        limits=limits(options),
        trials=options.trials,
        oracle=options.oracle,
        estimator=options.estimator,
        calibrate=options.calibrate,
        objective=options.objective,
        quantize=options.quantize,
        space=options.space,
        preset=options.preset,
        epochs=options.epochs,
        batch_size=options.batch_size,
        keep_ratio=options.keep_ratio,
        criterion=options.criterion,
        strategy=options.strategy,
        scope=options.scope,
        channel_keep_ratio=options.channel_keep_ratio,
        channel_criterion=options.channel_criterion,
        channel_multiple=options.channel_multiple,
        max_time=options.max_time,
        image_size=options.image_size,
        data_dir=options.data_dir,
        seed=options.seed,
        directory=out.parent if out else "kgrow_runs",
        project_name=out.name if out else None,
        overwrite=options.overwrite,
        distribute=options.distribute,
        cluster=options.cluster(options),
        verbose=options.verbose,
    )
    if options.json:
        _write(lambda: print(json.dumps(result.document, indent=2)))
    else:
        _write(result.summary)
    return DONE


def run_export(options: argparse.Namespace) -> int:
    """`kgrow export`."""
    from kgrow.reporting.artefacts import print_artefact

    artefact = kgrow.load(options.run, options.dataset, data_dir=options.data_dir).export(
        options.out,
        quantize=options.quantize,
        exit_index=options.exit_index,
        early_exit=early_exit(options),
        input_dtype=options.input_dtype,
        output_dtype=options.output_dtype,
        fine_tune_epochs=options.fine_tune_epochs,
        max_drop=options.max_drop / 100,
        micro=options.micro,
    )
    document = dataclasses.asdict(artefact)
    _write(lambda: print(json.dumps(document, indent=2)) if options.json else print_artefact(document, sys.stdout))
    return DONE


def run_benchmark(options: argparse.Namespace) -> int:
    """`kgrow benchmark`."""
    from kgrow.benchmark import benchmark
    from kgrow.reporting.artefacts import print_benchmark

    document = benchmark(options.path, options.dataset, data_dir=options.data_dir, num_threads=options.threads)
    _write(lambda: print(json.dumps(document, indent=2)) if options.json else print_benchmark(document, sys.stdout))
    return DONE


def early_exit(options: argparse.Namespace) -> Any:
    """Returns how early exits are decided; False if nothing asks for them."""
    from kgrow.exporting import EarlyExit

    given = {
        "threshold": options.threshold,
        "max_loss": None if options.max_exit_loss is None else options.max_exit_loss / 100,
        "max_cost": options.max_exit_cost,
        "stages": options.stages or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return EarlyExit(**given) if given or options.early_exit else False


def limits(options: argparse.Namespace) -> kgrow.Limits:
    """Returns the limits of `--limit`, `--max-params` and `--device` together."""
    texts = list(options.limit)
    if options.max_params is not None:
        texts.append(f"params={options.max_params}")
    given = kgrow.Limits.parse(texts)
    return given if options.device is None else given.tightened(kgrow.Limits.of_device(options.device))


def chief_of(options: argparse.Namespace) -> kgrow.Chief | None:
    """Returns the part of `kgrow search`; None if it is not told to serve."""
    return None if options.chief is None else kgrow.Chief(options.chief, options.lease)


def worker_of(options: argparse.Namespace) -> kgrow.Worker:
    """Returns the part of `kgrow worker`: who serves it, by `--chief` or by KerasTuner's environment variables."""
    from kgrow.searching.cluster import from_environment

    if options.chief is not None:
        return kgrow.Worker(options.chief, options.wait)
    given = from_environment(os.environ)
    if not isinstance(given, kgrow.Worker):
        raise ValueError(
            "`--chief HOST:PORT` must say where the search serves its trials, but is not given, and no environment "
            "variables of KerasTuner name a worker."
        )
    return dataclasses.replace(given, wait_s=options.wait)


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
