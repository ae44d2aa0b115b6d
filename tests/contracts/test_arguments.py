"""What every public call and every option of the command line owes: what cannot be is said before anything is done.

A new parameter is found by itself. It needs a rule where it enters (for what a search is told beside its field in
`kgrow/config/sections.py`, for data in `kgrow/task/arguments.py`, for the others beside the call), and here a line in
`VALID` for each of the values below that it rightly accepts.
"""

import dataclasses
import importlib
import inspect
import math
import traceback
from pathlib import Path

import numpy as np
import pytest

import kgrow
from kgrow import arguments, cli
from kgrow.benchmark import benchmark
from kgrow.exporting import set_threshold
from kgrow.exporting.options import ExportOptions
from kgrow.pipeline import RULES

WRONG = {
    "None": None,
    "nan": math.nan,
    "inf": math.inf,
    "-1": -1,
    "2**64": 2**64,
    "10**400": 10**400,
    "True": True,
    "no text": "",
    "no bytes": b"",
    "a lone surrogate": "\ud800",
    "a zero character": "a\0b",
    "an object": object(),
    "a class": int,
    "an empty list": [],
    "a ragged list": [[1], [1, 2]],
    "an empty mapping": {},
    "a mapping": {"nonsense": 1},
    "an array": np.zeros((2, 3)),
    "an empty array": np.zeros(0),
    "an array without axes": np.array(math.nan),
}
DATA = ("dataset", "validation_data", "test_data")
# What a parameter rightly accepts, beside None where it is the default and truth values where one is.
VALID = {
    ("search", "limits"): {"an empty mapping"},
    **{("search", part): {"an empty mapping"} for part in ("training", "pruning", "tuning", "config")},
    ("Training", "augmentation"): {"an empty mapping"},
    ("Training", "class_weight"): {"None", "an empty mapping", "a mapping"},  # whose names the data must have
    ("Tuning", "limits"): {"an empty mapping"},
    ("search", "verbose"): {"True"},
    ("compress", "verbose"): {"True"},
    ("Result.export", "verbose"): {"True"},
    ("EarlyExit", "threshold"): {"an empty list", "an empty array"},  # of a network of one head
    ("set_threshold", "threshold"): {"an empty list", "an empty array"},
    ("Limits", "latency_ms"): {"2**64"},
    ("Ray", "cpus"): {"2**64"},
    ("Ray", "gpus"): {"2**64"},
    # A pair: what its images and labels are like is seen when they are read.
    **{(name, part): {"a ragged list"} for name in ("load", "benchmark") for part in DATA},
    ("compress", "learning_rate"): {"2**64"},
}
KEYWORDS = {kgrow.Result.export: ExportOptions, kgrow.Compressed.export: ExportOptions}  # what `**options` stands for


class StartedError(Exception):
    """The checks are over: what follows would take time, or write."""


def work(*args, **kwargs):
    raise StartedError


@pytest.fixture(scope="module")
def model():
    from kgrow._keras import keras

    layers = keras.layers
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(4), layers.Dense(3)])


@pytest.fixture
def calls(tmp_path, monkeypatch, tiny_task, tiny_space, tiny_network, model):
    """Every public call by its name: itself, and what it is called with but for the one argument in question."""
    monkeypatch.chdir(tmp_path)
    for name in ("execution.Search.result", "pipeline._connected", "benchmark.load"):
        monkeypatch.setattr(f"kgrow.{name}", work)
    monkeypatch.setattr("kgrow.recorded.read_result", work)
    for module, name in {
        "compressing.compress": "_compress",
        "exporting.export": "compact",
        "exporting.threshold": "read_bundle",
    }.items():
        monkeypatch.setattr(importlib.import_module(f"kgrow.{module}"), name, work)
    run = tmp_path / "run"
    run.mkdir()
    (run / "result.json").write_text("{}")
    document = {
        "seed": 0,
        "config": {"quantization": "float32", "class_weights": None},
        "best": {"artefacts": [{"fine_tune_epochs": 0}]},
    }
    result = kgrow.Result(run, document, tiny_network, tiny_task)
    compressed = kgrow.Compressed(tiny_network, False, "tiny", tiny_task, {})
    file = tmp_path / "model.tflite"
    quick = {"space": tiny_space, "overwrite": True}  # may be repeated
    images, labels = np.zeros((30, 8, 8), np.uint8), np.arange(30) % 3
    return {
        "search": (kgrow.search, {**quick, "dataset": tiny_task, "directory": tmp_path / "runs"}),
        "compress": (kgrow.compress, {"model": model, "dataset": tiny_task}),
        "load": (kgrow.load, {"directory": run}),
        "benchmark": (benchmark, {"path": run}),
        "set_threshold": (set_threshold, {"path": file, "threshold": 0.5}),
        "Task.of": (kgrow.Task.of, {"source": (images, labels)}),
        "Result.export": (kgrow.Result.export, {"self": result, "path": file}),
        "Compressed.export": (kgrow.Compressed.export, {"self": compressed, "path": file}),
        "Limits": (kgrow.Limits, {}),
        **{name: (getattr(kgrow, name), {}) for name in ("Training", "Growth", "Pruning", "Tuning", "Export")},
        "EarlyExit": (kgrow.EarlyExit, {}),
        "Augmentation": (kgrow.Augmentation, {}),
        "Ray": (kgrow.Ray, {}),
    }


def parameters(call):
    """The parameters by their names, with their defaults; those of what `**options` stands for too."""
    found = dict(inspect.signature(call).parameters)
    kind = KEYWORDS.get(call)
    if kind:
        others = {field.name: field for field in dataclasses.fields(kind) if field.name != "quantization"}
        found = {**others, **{name: parameter for name, parameter in found.items() if name != "options"}}
    return {name: parameter.default for name, parameter in found.items() if name != "self"}


def is_valid(name, parameter, default, label):
    always = {"None"} if default is None else {"True"} if isinstance(default, bool) else set()
    return label in always | VALID.get((name, parameter), set())


def outcome(call, arguments, parameter):
    """Returns None if the argument is refused as it should be, else what happened."""
    before = sorted(Path.cwd().rglob("*"))
    try:
        call(**arguments)
    except StartedError:
        return "accepted"
    except (ValueError, TypeError, FileNotFoundError) as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        by_us = frame.f_globals["__name__"].startswith("kgrow.")
        # What `Task.of` finds when it reads the data is said of its own parameter.
        names = (f"{parameter}`", f"{parameter}.", *["source`"] * (parameter == "dataset"))
        place = f"`{call.__name__.lower()}."  # of the field of a section
        is_named = any(start + name in str(error) for start in ("`", place) for name in names)
        is_named |= f"{place}{parameter}[" in str(error)
        if by_us and is_named and sorted(Path.cwd().rglob("*")) == before:
            return None
        return f"{type(error).__name__}, {'named' if is_named else 'not named'}: {error}"
    except Exception as error:
        return repr(error)
    return "accepted"


CALLS = (
    *("search", "compress", "load", "benchmark", "set_threshold", "Task.of", "Result.export", "Compressed.export"),
    *("Training", "Growth", "Pruning", "Tuning", "Export", "Limits", "EarlyExit", "Augmentation", "Ray"),
)


@pytest.mark.parametrize("name", CALLS)
def test_every_wrong_value_of_every_parameter_is_refused_by_name_before_anything_is_done(name, calls):
    call, given = calls[name]
    wrong = {}
    for parameter, default in parameters(call).items():
        for label, value in WRONG.items():
            found = outcome(call, {**given, parameter: value}, parameter)
            if (found == "accepted") != is_valid(name, parameter, default, label) or found not in (None, "accepted"):
                wrong[f"{name}({parameter}=<{label}>)"] = found or "refused"
    assert not wrong


def test_every_parameter_of_a_search_has_a_rule():
    sections = {"training", "pruning", "tuning", "config"}  # have a rule for each field
    unchecked = set(inspect.signature(kgrow.search).parameters) - set(RULES) - sections
    assert not unchecked, f"give {unchecked} a rule in kgrow/pipeline.py"


def test_search_has_at_most_sixteen_parameters():
    assert len(inspect.signature(kgrow.search).parameters) <= 16


NUMPY_NUMBERS = {
    "trials": np.int64(2),
    "epochs": np.int32(9),
    "training": {"batch_size": np.array(16)},
    "pruning": {
        "keep_ratio": np.array(0.5),
        "channel_keep_ratio": np.array([0.5, 1.0], np.float32),
        "channel_multiple": np.uint8(2),
    },
    "tuning": {"calibrate": np.bool_(False)},
    "config": {"data": {"validation_split": np.float16(0.25), "image_size": np.array([8, 8])}},
    "max_time": np.float32(60),
    "seed": np.int64(3),
    "overwrite": np.bool_(True),
    "verbose": np.int8(0),
}


def test_numbers_of_numpy_are_taken_wherever_pythons_are(calls, tiny_task, monkeypatch):
    search, given = calls["search"]
    monkeypatch.setattr("kgrow.execution.Search.result", lambda self, max_time, started: (self, max_time))
    del given["overwrite"]
    given = {**given, "dataset": (tiny_task.train.images, tiny_task.train.labels)}
    found, max_time = search(**given, **NUMPY_NUMBERS)
    settings = found.plan.settings
    numbers = [
        found.plan.trials,
        settings.seed,
        settings.preset.batch_size,
        max_time,
        *found.plan.proposals.keep_ratios,
    ]
    assert numbers == [2, 3, 16, 60, 0.5, 0.5]
    assert [type(number) for number in numbers] == [int, int, int, float, float, float]
    export, given = calls["Result.export"]
    with pytest.raises(StartedError):
        export(**given, exit_index=np.int64(0), max_drop=np.float32(0.5), micro=np.bool_(True), seed=np.uint8(1))
    assert kgrow.Limits(params=np.int64(5), latency_ms=np.float64(0.5)) == kgrow.Limits(5, latency_ms=0.5)
    assert kgrow.Augmentation(shift=np.int64(1), flip=np.bool_(True)) == kgrow.Augmentation(1, True)
    assert kgrow.EarlyExit(np.float32(0.5), max_cost=np.array(1)) == kgrow.EarlyExit(0.5, max_cost=1.0)


def test_limits_are_a_mapping_and_amounts_are_texts_as_on_the_command_line(calls, monkeypatch):
    search, given = calls["search"]
    monkeypatch.setattr("kgrow.execution.Search.result", lambda self, max_time, started: (self, max_time))
    amounts = {"params": "10k", "macs": "2.5M", "flash_bytes": "64KB", "ram_bytes": "32 KiB"}
    found, max_time = search(**given, limits=amounts, max_time="1.5m")
    assert found.plan.proposals.limits == kgrow.Limits(10_000, 2_500_000, 64_000, 32_768)
    assert max_time == 90
    assert kgrow.Limits(latency_ms="0.5s").latency_ms == 500


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limits": {"flash": "64KB"}}, "`limits` must be one of .* Did you mean 'flash_bytes'?"),
        (
            {"limits": {"flash_bytes": "64X"}},
            "`limits.flash_bytes` must be a number, or a text such as '64', '64B', '64KB'",
        ),
        (
            {"max_time": "soon"},
            "`max_time` must be a positive number of seconds, or a positive time with its unit, s, m or h",
        ),
        ({"config": {"data": {"image_size": 30_000}}}, "`data.image_size` must be a side of at most 2048 pixels"),
        ({"config": {"data": {"image_size": (8, 10**6)}}}, "`data.image_size` must be a side of at most 2048 pixels"),
        ({"trials": 10**9}, "`trials` must be at most 1000000"),
        ({"epochs": 10**9}, "`epochs` must be at most 1000000"),
        ({"training": {"batch_size": 10**9}}, "`training.batch_size` must be at most 1000000"),
        ({"seed": 2**32}, "`seed` must be at most 2147483647"),
        ({"dataset": "~nosuch/x"}, "`dataset` must be the name of a data set, .* no such user"),
        ({"dataset": (np.zeros((3, 8, 8)), [[0], [0, 1], [1]])}, "`source` must have one label per image"),
    ],
)
def test_what_is_wrong_in_a_way_of_its_own_is_said(options, message, calls):
    search, given = calls["search"]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        search(**{**given, **options})


TEXTS = ("", "nan", "inf", "-1", str(2**64), "1e400", "x", "[]", "\udcff", "a\0b")
NAMES = {"nan", "inf", "-1", str(2**64), "1e400", "x", "[]"}  # of a file or a folder
# What an option rightly accepts.
VALID_TEXTS = {
    ("search", "--out"): NAMES,
    ("search", "--data-dir"): NAMES,
    ("export", "--data-dir"): NAMES,
    ("benchmark", "--data-dir"): NAMES,
    ("export", "--out"): NAMES,
    ("export", "--threshold"): {str(2**64)},
}


def options_of(command):
    """The options of a command that take a value, and its positional argument."""
    (commands,) = (action for action in arguments.parser()._actions if action.dest == "command")
    actions = [action for action in commands.choices[command]._actions if action.nargs != 0]
    return [(action.option_strings or [action.dest])[0] for action in actions]


@pytest.mark.parametrize("command", ["search", "export", "benchmark"])
def test_every_wrong_text_of_every_option_is_refused_with_exit_code_2(command, calls, monkeypatch, capsys):
    exported, load = calls["Result.export"][1]["self"], kgrow.load

    def loaded(*args, **kwargs):
        with pytest.raises(StartedError):
            load(*args, **kwargs)
        return exported

    monkeypatch.setattr(kgrow, "load", loaded, raising=False)
    monkeypatch.setattr("kgrow.planning.Proposals", work)
    given = {
        "search": {"dataset": "digits"},
        "export": {"run": "run", "--out": "model.tflite"},
        "benchmark": {"path": "run"},
    }[command]
    found = {
        (option, text): exit_code(line_of(command, {**given, option: text}), capsys)
        for option in options_of(command)
        for text in TEXTS
    }
    expected = {
        (option, text): "accepted" if text in VALID_TEXTS.get((command, option), ()) else cli.BAD_USAGE
        for option, text in found
    }
    assert not {ascii(pair): code for pair, code in found.items() if code != expected[pair]}


def line_of(command, given):
    """The command line; what has no option's name comes last, so that it may be any text."""
    options = [f"{name}={value}" for name, value in given.items() if name.startswith("--")]
    return [command, *options, "--", *(value for name, value in given.items() if not name.startswith("--"))]


def exit_code(line, capsys):
    """The exit code, "accepted" if the work would begin, or what else is wrong."""
    before = sorted(Path.cwd().rglob("*"))
    try:
        code = cli.main(line)
    except SystemExit as error:
        code = error.code
    except StartedError:
        return "accepted"
    said = capsys.readouterr().err
    is_clean = "Traceback" not in said and sorted(Path.cwd().rglob("*")) == before
    return code if is_clean else f"{code}, {said}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            ["search", "digits", "--out", "/"],
            "`project_name` must be the name of a directory (the last part of `--out`)",
        ),
        (["export", "run", "--out", "/"], "`path` must be a new folder or an earlier bundle"),
        (["search", "~nosuch/x"], "no such user"),
        (["search", "digits", "--address", "box:6379"], "(`--address`) must come with the engine 'ray'"),
        (["search", "digits", "--engine", "rya"], "`tuning.engine` must be one of 'local', 'ray', but got 'rya'"),
        (["worker", "digits"], "`worker` is no command since kgrow 0.2. A search on several machines is"),
        (["search", "digits", "--oracle", "hyperband"], "Successive halving is the estimator 'halving'"),
        (
            ["search", "digits", "--criterion", "bayes"],
            "is not 'bayes' since kgrow 0.2. It is 'fisher'",
        ),
        (["search", "digits", "--channel-criterion", "gate"], "since kgrow 0.2. It is 'taylor'"),
        (["search", "digits", "--image-size", "30000"], "`data.image_size` must be a side of at most 2048 pixels"),
        (["search", "digits", "--seed", "4294967296"], "`training.seed` must be at most 2147483647"),
    ],
)
def test_slips_of_the_command_line_are_said_in_one_line(line, message, calls, monkeypatch, capsys):
    monkeypatch.setattr(kgrow, "load", lambda *args, **kwargs: calls["Result.export"][1]["self"], raising=False)
    assert cli.main(line) == cli.BAD_USAGE
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
