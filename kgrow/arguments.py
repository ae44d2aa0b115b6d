"""What the command line accepts, command by command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import kgrow
from kgrow._units import check_seconds

# Of an earlier version, and what has taken their place.
_ENGINE = "A search on several machines is `kgrow search ... --engine ray [--address HOST:PORT]`."
REMOVED = {
    "worker": f"{_ENGINE} Its workers are Ray's: `ray start --address HOST:PORT` on each machine.",
    "--chief": f"{_ENGINE} Start it with `ray start --head`.",
    "--lease": f"{_ENGINE} Ray notices by itself that a worker is gone.",
    "--wait": f"{_ENGINE} Ray notices by itself that a machine is gone.",
}


def check_spelling(words: Sequence[str]) -> None:
    """Raises ValueError if a command or an option is one of an earlier version."""
    for word in [*words[:1], *(word.partition("=")[0] for word in words[1:] if word.startswith("--"))]:
        if word in REMOVED:
            raise ValueError(f"`{word}` is no more. {REMOVED[word]}")


def parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands; `command` is the name of the one that is given."""
    top = argparse.ArgumentParser(prog="kgrow", description="Grow, prune and search small image classifiers.")
    top.add_argument("--version", action="version", version=f"kgrow {kgrow.__version__}")
    commands = top.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    search = commands.add_parser(
        "search",
        allow_abbrev=False,
        help="find, export and prove the best classifier within the limits",
        description="Find, export and prove the best classifier within the limits. The same command goes on where it "
        "was stopped.",
    )
    _add_search(search.add_argument)
    _add_export(commands)
    _add_benchmark(commands)
    return top


def _add_search(add: Callable[..., Any]) -> None:
    add("dataset", metavar="DATASET", help='"digits", a TFDS name such as "mnist", or a folder with one per class')
    add("--out", metavar="DIR", help="the run directory (default: kgrow_runs/DATASET)")
    add("--space", default="compact", help="compact (default), cascade, large, cells, seed, seed_dense or seed_plain")
    add(
        "--preset",
        default="default",
        help="default, early_exit (better early answers), base, grow, grow_oneshot or grow_iter",
    )
    add("--epochs", type=int, metavar="N", help="stretch the preset to this length")
    add("--batch-size", type=int, metavar="N")
    add("--keep-ratio", type=numbers, metavar="R", help="0.5, or one per block: 0.8,0.7,0.6 (default: searched)")
    add("--criterion", default="magnitude", help="magnitude (default), snip, snip_reinit, bayes, bayes_link or random")
    add("--strategy", help="one-shot, iterative or bayes (the evidence decides how many stay); default: the preset's")
    add("--scope", default="block", help="ranked together: layer, block (default) or global")
    add("--channel-keep-ratio", type=numbers, metavar="R", help="kept fraction of the channels, one or per block")
    add("--channel-criterion", default="gate", help="gate (default), bayes, snip, norm or bn_scale")
    add("--channel-multiple", type=int, default=1, metavar="N", help="widths become multiples of N")
    add("--class-weight", default="auto", help="auto (balanced beyond 3:1, default), balanced or none")
    add("--augmentation", default="suited", help="suited (default), cutout, shift (nothing is mirrored) or none")
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
    add("--oracle", default="bayesian", help="bayesian (default), random or grid")
    add(
        "--estimator",
        default="full",
        help="full (default), or halving: approximate, most candidates are not trained to their end",
    )
    add("--calibrate", action="store_true", help="tell how far the estimator can be trusted, over 10 full trainings")
    add(
        "--objective",
        default="accuracy",
        help="accuracy (default), mixed:A, energy_constraint:T or accuracy_constraint:T",
    )
    add(
        "--prefer",
        default="accurate",
        help="accurate (default) or small, among networks that accuracy cannot tell apart",
    )
    add("--engine", default="local", help="local (default), or ray: a cluster trains candidates side by side")
    add("--address", metavar="HOST:PORT", help="head of the Ray cluster (default: that of this machine, if any)")
    add("--distribute", metavar="STRATEGY", help="mirrored: all GPUs of this machine share every batch")
    add("--quantize", metavar="KIND", help="float32 or int8 (default: int8 if a limit concerns the file)")
    add(
        "--max-time",
        type=duration,
        metavar="TIME",
        help="such as 90s, 10m or 2h, for everything; the best network so far is exported",
    )
    add("--validation-split", type=float, metavar="F", help="share of the training images that decides (0.1 to 0.15)")
    add("--image-size", type=int, metavar="PIXELS", help="resize images to this side")
    add("--data-dir", metavar="DIR", help="where TensorFlow Datasets keeps its data")
    add("--seed", type=int, default=0, metavar="N")
    add("--overwrite", action="store_true", help="start over where DIR holds a run")
    add("--json", action="store_true", help="print result.json to the standard output instead of the table")
    add("--verbose", type=int, choices=[0, 1, 2], default=1, help="0 silent, 1 live display (default), 2 lines")


def _add_export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        allow_abbrev=False,
        help="write the best network of a run for a device",
        description="Write the best network of a finished run for a device, proved on the test images.",
    )
    add = export.add_argument
    add("run", metavar="RUN", help="the run directory of a finished search")
    add("--out", required=True, metavar="PATH", help="a file ending in .tflite, or a folder for all that goes with it")
    add("--quantize", metavar="KIND", help="float32, float16, dynamic or int8 (default: that of the search)")
    add("--exit-index", type=int, metavar="K", help="the head that answers, from 0 (default: the last one)")
    add("--early-exit", action="store_true", help="answer at the first head that is confident enough")
    exits = export.add_argument_group("early exits", "Each of these asks for early exits by itself.").add_argument
    exits(
        "--threshold", type=numbers, metavar="T", help="that confidence, or one per head: 0.98,0.85 (default: chosen)"
    )
    exits("--max-exit-loss", type=float, metavar="POINTS", help="accuracy that early exits may cost (0.5)")
    exits("--max-exit-cost", type=float, metavar="FRACTION", help="mean MACs allowed, in place of --max-exit-loss")
    exits("--stages", action="store_true", help="a file per stage in place of one")
    add("--input-dtype", metavar="TYPE", help="of the raw pixels fed: uint8 or float32 (default: that of the data)")
    add("--output-dtype", default="float32", help="float32 (default), or uint8 or int8 with --quantize int8")
    add("--single-output", action="store_true", help="give probabilities alone, for programs that expect one output")
    add("--fine-tune-epochs", type=int, metavar="N", help="train N epochs with 8 bits before (as the search did)")
    add("--max-drop", type=float, default=1.0, metavar="POINTS", help="accuracy that quantization may cost (1)")
    add("--micro", action="store_true", help="fail unless TensorFlow Lite Micro runs it")
    add("--name", metavar="NAME", help="what names in the C source begin with (default: the folder's name)")
    _add_data(add)


def _add_benchmark(commands: Any) -> None:
    benchmark = commands.add_parser(
        "benchmark",
        allow_abbrev=False,
        help="measure every format of a run, or an exported file",
        description="Measure every format of a finished run side by side, or one exported file or folder.",
    )
    add = benchmark.add_argument
    add("path", metavar="FILE|RUN")
    add("--threads", type=int, default=1, metavar="N")
    _add_data(add)


def _add_data(add: Callable[..., Any]) -> None:
    add("--dataset", metavar="DATASET", help="the data set, if the run does not remember it")
    add("--data-dir", metavar="DIR", help="where TensorFlow Datasets keeps its data, if that has changed")
    add("--json", action="store_true", help="print a JSON document instead of the table")


def numbers(text: str) -> float | tuple[float, ...]:
    """Parses `0.5` or `0.8,0.7,0.6`; the range is checked later, with a message that explains it."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or numbers joined by commas, but got {text!r}") from None
    return values if "," in text else values[0]


def duration(text: str) -> float:
    """Parses `90s`, `10m`, `2h` or plain seconds."""
    try:
        return check_seconds(text, "TIME")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
