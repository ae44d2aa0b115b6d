"""Command-line arguments of each command; the options of a search come from its configuration."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from kgrow._version import __version__
from kgrow.config import SECTIONS, Option, flag_of, option_of
from kgrow.config.removed import OPTIONS as REMOVED
from kgrow.config.texts import numbers
from kgrow.registry import EXPORTERS

WIDTH = 80
SHELLS = ("bash", "zsh", "tcsh")
# Options of a search that a compression says by its model.
STARTS = ("start", "weights", "space")


def parser(shows_all: bool = False) -> argparse.ArgumentParser:
    """Returns the parser of all commands; `command` is the name of the given one.

    Args:
        shows_all: Whether the help of `search` lists all options, in groups, or only the most used ones.
    """
    top = argparse.ArgumentParser(prog="kgrow", description="Grow, prune and search small image classifiers.")
    top.add_argument("--version", action="version", version=f"kgrow {__version__}")
    commands = top.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    _add_search(commands, shows_all)
    _add_compress(commands, shows_all)
    _add_export(commands)
    _add_benchmark(commands)
    _add_cross_validate(commands)
    _add_views(commands)
    _add_studio(commands)
    return top


def given_fields(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Returns the configuration fields given on a command line, by section."""
    found: dict[str, dict[str, Any]] = {}
    for section, kind in SECTIONS.items():
        for field in dataclasses.fields(kind):
            if hasattr(options, f"{section}.{field.name}"):
                value, option = getattr(options, f"{section}.{field.name}"), option_of(field)
                value = option.parse(value) if option.is_repeated else value
                found.setdefault(section, {})[field.name] = value
    return found


def _add_search(commands: Any, shows_all: bool) -> None:
    command = commands.add_parser(
        "search",
        allow_abbrev=False,
        add_help=False,
        help="find, export and prove the best classifier within the limits",
        description="Find, export and prove the best classifier. The same command goes on.",
        usage="kgrow search DATASET [OPTION ...]",
        formatter_class=_Formatter,
    )
    _add_options_of_search(command, "kgrow_runs/DATASET", shows_all)


def _add_compress(commands: Any, shows_all: bool) -> None:
    command = commands.add_parser(
        "compress",
        allow_abbrev=False,
        add_help=False,
        help="the same, starting with a trained model of one's own",
        description="Make a trained model fit: a search of what stays of its blocks and channels.",
        usage="kgrow compress MODEL DATASET [OPTION ...]",
        formatter_class=_Formatter,
    )
    command.add_argument(
        "growth.start", metavar="MODEL", help=".keras or .h5 file of Keras 2 or 3, or directory of a SavedModel"
    )
    _add_options_of_search(command, "kgrow_runs/MODEL", shows_all)


def _add_options_of_search(command: argparse.ArgumentParser, out: str, shows_all: bool) -> None:
    """Adds what a search and a compression take.

    Args:
        command: Parser of the command.
        out: Its default run directory.
        shows_all: See `parser`.
    """
    add = command.add_argument
    add("dataset", metavar="DATASET", help='"digits", a TFDS name such as "mnist", or a folder')
    starts_with_model = command.prog.endswith(" compress")
    usual = command.add_argument_group("options").add_argument
    hidden: dict[str, Any] = {}
    for section, kind in SECTIONS.items():
        title = f"{section}: {(kind.__doc__ or '').partition(';')[0].rstrip('.').lower()}"
        hidden[section] = command.add_argument_group(title).add_argument if shows_all else _hiding(add)
        for field in dataclasses.fields(kind):
            if flag_of(field) and not (starts_with_model and field.name in STARTS):
                is_usual = bool(option_of(field).brief) and not shows_all
                _add_option(usual if is_usual else hidden[section], section, field, shows_all)
    # Whoever has such a file knows the option: its line is left to the prompt.
    file = "YAML file of a configuration; options override it" if shows_all else argparse.SUPPRESS
    usual("--config", metavar="FILE", help=file)
    usual("--out", metavar="DIR", help=f"run directory (default: {out})")
    usual("--overwrite", action="store_true", help="start over where DIR holds a run")
    usual("--details", action="store_true", help="print all that was measured below the answer")
    usual("--json", action="store_true", help="print result.json instead of the table")
    usual("--verbose", type=int, choices=[0, 1, 2], default=1, help="0 silent, 1 live display (default), 2 lines")
    # Whoever reads the short help has found it: its line is left to the prompt.
    usual("-h", "--help", action="help", help="show the options used most" if shows_all else argparse.SUPPRESS)
    usual("--help-all", action=_HelpAll, help="show all options in groups")
    for flag, now in REMOVED.items():
        add(flag, action=_Removed, const=now, nargs="?", help=argparse.SUPPRESS)


def _add_option(add: Callable[..., Any], section: str, field: dataclasses.Field[Any], shows_all: bool) -> None:
    option, flag = option_of(field), flag_of(field)
    settings: dict[str, Any] = {"dest": f"{section}.{field.name}", "default": argparse.SUPPRESS}
    settings["help"] = full_help(option, field.default) if shows_all else option.brief
    if isinstance(field.default, bool):
        add(flag, action=argparse.BooleanOptionalAction, **settings)  # a file may have enabled it
    elif option.is_repeated:
        add(flag, action="append", metavar=option.metavar, **settings)
    else:
        usual = "NAME" if option.known else "N"
        add(flag, type=option.parse, metavar=option.metavar or usual, **settings)


def full_help(option: Option, default: Any) -> str:
    """Returns the description of an option for the help and the documentation.

    Args:
        option: Option metadata of the field.
        default: Default value of the field.
    """
    names = [f"{name} (default)" if name == default else name for name in option.known]
    text = f"{option.help}: {', '.join(names)}" if names else option.help
    is_said = default is None or isinstance(default, bool) or default in option.known
    return text if is_said else f"{text} ({default})"


def _hiding(add: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *flags, **settings: add(*flags, **{**settings, "help": argparse.SUPPRESS})


class _Formatter(argparse.HelpFormatter):
    """A help formatter for a screen of 80 columns."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=WIDTH)


class _HelpAll(argparse.Action):
    """Prints all options of the command, in groups, and exits."""

    def __init__(self, option_strings: list[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, **settings)

    def __call__(self, command: argparse.ArgumentParser, *args: Any) -> None:
        """See `argparse.Action`."""
        (commands,) = (action for action in parser(shows_all=True)._actions if action.dest == "command")
        choices: Mapping[str, argparse.ArgumentParser] = dict(commands.choices or {})
        choices[command.prog.split()[-1]].print_help()
        command.exit()


class _Removed(argparse.Action):
    """Reports the replacement for an option of an earlier version."""

    def __call__(self, command: argparse.ArgumentParser, options: Any, values: Any, flag: str | None = None) -> None:
        """See `argparse.Action`."""
        command.error(f"`{flag}` is no option since kgrow 0.2. {self.const}")


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
    add("--quantize", metavar="KIND", help=f"{', '.join(EXPORTERS)} (default: that of the search)")
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


def _add_cross_validate(commands: Any) -> None:
    command = commands.add_parser(
        "cross-validate",
        allow_abbrev=False,
        help="train the best network anew, each time without other images",
        description="Say what the best network of a run answers of images that it was not trained with, by training it "
        "anew for each fold of all images, and what more images would give. The same command goes on.",
    )
    add = command.add_argument
    add("run", metavar="RUN", help="the run directory of a finished search")
    add("--folds", type=int, default=5, metavar="K", help="number of folds (5)")
    add("--max-time", metavar="TIME", help="time for everything: 90s, 10m, 2h")
    add("--overwrite", action="store_true", help="start over")
    add("--verbose", type=int, choices=[0, 1, 2], default=1, help="0 silent, 1 live display (default), 2 lines")
    _add_data(add)


def _add_views(commands: Any) -> None:
    show = commands.add_parser("show", allow_abbrev=False, help="print the final table of a run again")
    show.add_argument("run", metavar="RUN", help="the run directory of a finished search")
    compare = commands.add_parser("compare", allow_abbrev=False, help="print two runs side by side")
    compare.add_argument("runs", metavar="RUN", nargs=2, help="the run directory of a finished search")
    _add_data(compare.add_argument)
    report = commands.add_parser(
        "report",
        allow_abbrev=False,
        help="write a report of a run: one HTML file",
        description="Write a report of a run, finished or not: one HTML file that needs nothing else.",
    )
    report.add_argument("run", metavar="RUN", help="the run directory of a search")
    report.add_argument("--out", metavar="FILE", help="default: report.html in RUN")
    report.add_argument("--overwrite", action="store_true", help="replace FILE")
    report.add_argument("--watch", action="store_true", help="write it after each epoch, until the search has ended")
    _add_data(report.add_argument, has_json=False)
    runs = commands.add_parser("list", allow_abbrev=False, help="list the runs of a directory")
    runs.add_argument("directory", metavar="DIR", nargs="?", default="kgrow_runs", help="default: kgrow_runs")
    devices = commands.add_parser("devices", allow_abbrev=False, help="list the devices that --device knows")
    completion = commands.add_parser(
        "completion", allow_abbrev=False, help="print a script that completes commands and options in a shell"
    )
    completion.add_argument("shell", choices=SHELLS, help='such as: eval "$(kgrow completion bash)"')
    for command in (show, runs, devices):
        command.add_argument("--json", action="store_true", help="print a JSON document instead of the table")


def _add_studio(commands: Any) -> None:
    studio = commands.add_parser(
        "studio",
        allow_abbrev=False,
        help="open a page that needs no command line",
        description="Search, watch and try networks on a page in the browser of this computer.",
    )
    add = studio.add_argument
    add("--out", metavar="DIR", default="kgrow_runs", help="directory of runs (kgrow_runs)")
    add("--port", type=int, default=0, metavar="N", help="port of the page (a free one)")
    add("--no-open", dest="opens", action="store_false", help="print the address, and open no browser")


def _add_data(add: Callable[..., Any], *, has_json: bool = True) -> None:
    add("--dataset", metavar="DATASET", help="the data set, if the run does not remember it")
    add("--data-dir", metavar="DIR", help="where TensorFlow Datasets keeps its data, if that has changed")
    if has_json:
        add("--json", action="store_true", help="print a JSON document instead of the table")
