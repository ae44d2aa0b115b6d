"""The command line: parsing, exit codes, what goes to which stream."""

import hashlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kgrow import cli
from kgrow._units import check_seconds
from kgrow.config.texts import numbers
from kgrow.reporting.wording import grouped
from kgrow.searching.limits import devices
from kgrow.uncertainty import interval


@pytest.mark.parametrize("text", ["45", "0s", "-5m", "10d", "m", ""])
def test_time_without_a_unit_or_that_is_none_is_answered_with_the_units(text):
    with pytest.raises(ValueError, match="a positive time with its unit, s, m or h, such as '90s'"):
        check_seconds(text, "max_time")


def test_import_loads_no_tensorflow_and_is_quick_to_show_a_version():
    code = "import kgrow, sys; kgrow.Limits(params=3); print('tensorflow' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1.5m", 90)])
def test_durations_have_units(text, seconds):
    assert check_seconds(text, "max_time") == seconds


@pytest.mark.parametrize(
    ("text", "ratios"), [("0.5", 0.5), ("0.8,0.7,0.6", (0.8, 0.7, 0.6)), ("0.5,", None), ("a", None)]
)
def test_keep_ratios_are_one_number_or_a_list(text, ratios):
    if ratios is None:
        with pytest.raises(cli.argparse.ArgumentTypeError, match="numbers joined by commas"):
            numbers(text)
    else:
        assert numbers(text) == ratios


def test_what_no_message_of_ours_explains_keeps_its_traceback(monkeypatch):
    monkeypatch.setitem(cli.COMMANDS, "search", lambda options: np.zeros(2).reshape(3))
    with pytest.raises(ValueError, match="reshape"):
        cli.main(["search", "digits"])


@pytest.mark.parametrize(
    ("accident", "kind"), [(lambda _: grouped("12"), TypeError), (lambda _: interval(2.0, 10), ValueError)]
)
def test_accident_in_our_own_lines_keeps_its_traceback(accident, kind, monkeypatch):
    monkeypatch.setitem(cli.COMMANDS, "search", accident)
    with pytest.raises(kind):
        cli.main(["search", "digits"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--keep-ratio", "35"], cli.BAD_USAGE, "`pruning.keep_ratio` must be in (0, 1], but got 35"),
        (
            ["--preset", "base", "--keep-ratio", "0.5"],
            cli.BAD_USAGE,
            "`keep_ratio` must be 1 with a preset that prunes",
        ),
        (["--keep-ratio", "0.5,0.4"], cli.BAD_USAGE, "one for each of the 3 blocks"),
        (["--preset", "base", "--batch-size", "2000"], cli.BAD_USAGE, "`batch_size` must be at most"),
        (["--space", "compct"], cli.BAD_USAGE, "'compact'"),
        (["--criterion", "snap"], cli.BAD_USAGE, "'snip'"),
        (["--estimator", "halvin"], cli.BAD_USAGE, "Did you mean 'halving'?"),
        (["--calibrate"], cli.BAD_USAGE, "`tuning.calibrate` must come with an approximate estimator"),
        (["--class-weight", "balance"], cli.BAD_USAGE, "Did you mean 'balanced'?"),
        (["--epochs", "0"], cli.BAD_USAGE, "`training.epochs` must be a positive integer"),
        (
            ["--limit", "params=1"],
            cli.LIMITS_NOT_MET,
            "the nearest one (3 blocks, width 1) breaks params 13 > 1",
        ),
        (
            ["--limit", "params=500", "--keep-ratio", "0.5"],
            cli.LIMITS_NOT_MET,
            "a uniform keep ratio of 0.0153 would fit",
        ),
        (["--limit", "flash=1KB"], cli.LIMITS_NOT_MET, "the nearest one (1 block, width 0.3125) breaks flash_bytes"),
        (["--limit", "flash=64X"], cli.BAD_USAGE, "must be a number and a unit"),
        (["--limit", "ram=1KB", "--limit", "ram=2KB"], cli.BAD_USAGE, "must be given once per name"),
        (["--device", "rp2O40"], cli.BAD_USAGE, "Did you mean 'rp2040'?"),
        (["--oracle", "bayes"], cli.BAD_USAGE, "'bayesian'"),
    ],
)
def test_bad_usage_is_said_in_one_line_and_writes_nothing(arguments, code, message, tmp_path, capsys):
    assert cli.main(["search", "digits", "--out", str(tmp_path / "run"), *arguments]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "run").exists()


def test_an_unknown_data_set_is_answered_with_the_nearest_names(tmp_path, capsys):
    assert cli.main(["search", "digit", "--out", str(tmp_path / "run")]) == cli.BAD_USAGE
    assert "digits" in capsys.readouterr().err


def test_an_empty_name_is_not_the_working_directory(tmp_path, capsys):
    assert cli.main(["search", "", "--out", str(tmp_path / "run")]) == cli.BAD_USAGE
    assert "`dataset` must be the name of a data set" in capsys.readouterr().err


def test_an_option_is_not_abbreviated(tmp_path, capsys):
    with pytest.raises(SystemExit):  # the command that goes on would keep it, and remove the checkpoint
        cli.main(["search", "digits", "--out", str(tmp_path / "run"), "--overw"])
    assert "unrecognized arguments: --overw" in capsys.readouterr().err


@pytest.mark.slow
def test_time_that_is_too_short_is_refused_and_another_ends_in_a_file(tmp_path, capsys, monkeypatch):
    from kgrow.lifecycle.pace import Pace

    run = tmp_path / "run"
    command = ["search", "digits", "--verbose", "2", "--out", str(run), "--max-time"]
    with monkeypatch.context() as slow:
        slow.setattr("kgrow.searching.time_limit.pace_of", lambda *given: Pace(50.0, 1_000.0, 40.0, 10.0))
        assert cli.main([*command, "40s"]) == cli.BAD_USAGE
    assert "`max_time` must be at least about" in capsys.readouterr().err
    assert not (run / "result.json").exists()
    assert cli.main([*command, "40s"]) == cli.DONE
    document = json.loads((run / "result.json").read_text())
    # Each trial ends its whole schedule; its own epochs may be fewer, as it shares those before its first pruning.
    ended = [candidate for candidate in document["candidates"] if candidate["status"] == "done"]
    assert document["best"]["trial"] in [candidate["trial"] for candidate in ended]
    assert all(candidate["epochs"] >= document["epochs"] and not candidate["unfinished"] for candidate in ended)
    assert (run / "model.tflite").stat().st_size == document["best"]["artefacts"][0]["bytes"]


def test_a_foreign_directory_is_left_alone(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("mine")
    for extra in ([], ["--overwrite"]):
        assert cli.main(["search", "digits", "--out", str(tmp_path), *extra]) == cli.BAD_USAGE
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    assert "--out" in capsys.readouterr().err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = tmp_path_factory.mktemp("cli") / "run"
    options = ["--epochs", "2", "--keep-ratio", "0.5", "--verbose", "0"]
    assert cli.main(["search", "digits", "--out", str(run), *options]) == cli.DONE
    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "files"),
    [
        (["--out", "plain.tflite"], 0),
        (["--out", "first.tflite", "--exit-index", "0"], 0),
        (["--out", "named", "--name", "flowers", "--single-output", "--quantize", "int8", "--max-drop", "100"], 1),
        (["--out", "exits", "--early-exit"], 1),
        (["--out", "given", "--threshold", "0.9", "--max-exit-loss", "2"], 1),
        (["--out", "stages", "--stages", "--max-exit-cost", "0.9"], 3),
    ],
)
def test_export_and_benchmark_take_what_the_readme_shows(finished, options, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", str(finished), "--json", *options]) == cli.DONE
    document = json.loads(capsys.readouterr().out)
    assert (document["early_exit"] is not None) == (options[1] not in ("plain.tflite", "first.tflite", "named"))
    if "--threshold" in options:
        assert document["early_exit"]["threshold"] == 0.9
    if "--name" in options:
        assert "flowers_model_data" in Path("named", "model_data.h").read_text()
    assert len(list(Path(options[1]).glob("*.tflite"))) == files
    assert cli.main(["benchmark", options[1], "--json"]) == cli.DONE
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["bytes"] == document["bytes"]


def test_run_directory_ends_as_a_bundle_that_classifies_by_itself(finished, tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((8, 8), np.uint8))
    command = [sys.executable, str(finished / "run.py"), "--json", str(tmp_path / "image.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout)
    assert (finished / "labels.txt").read_text().split() == [str(digit) for digit in range(10)]
    model = (finished / "model.tflite").read_bytes()
    entry = next(it for it in json.loads((finished / "metadata.json").read_text())["files"] if "tflite" in it["path"])
    assert entry["sha256"] == hashlib.sha256(model).hexdigest()
    listed = {json.loads(line) for line in (finished / "kgrow.files").read_text().splitlines()}
    assert {"model.tflite", "run.py", "labels.txt", "metadata.json"} <= listed


def test_runs_are_listed_and_shown_again(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    runs = tmp_path / "runs"
    shutil.copytree(finished, runs / "0 done")
    shutil.copytree(finished, runs / "begun")
    (runs / "begun" / "result.json").unlink()
    shutil.copytree(finished, runs / "damaged")
    (runs / "damaged" / "result.json").write_text('{"kgrow_version": 2}')
    (runs / "photos").mkdir()
    assert cli.main(["list", str(runs)]) == cli.DONE
    text = capsys.readouterr().out
    assert re.search(r"^0 done +done +digits +\d+\.\d\d +[\d ]+ (float32|int8) +\d+$", text, re.MULTILINE)
    assert re.search(r"^begun +unfinished +digits +- ", text, re.MULTILINE)
    assert "`kgrow_version` must be" in text
    assert "photos" not in text
    assert cli.main(["list", str(runs), "--json"]) == cli.DONE
    (done, *_) = json.loads(capsys.readouterr().out)
    assert done["bytes"] == (finished / "model.tflite").stat().st_size
    assert cli.main(["show", str(runs / "0 done")]) == cli.DONE
    text = capsys.readouterr().out
    assert "The best network has test accuracy" in text
    assert str(runs / "0 done") in text.replace("\n", "")  # the commands are for where it lies now
    assert cli.main(["show", str(runs / "0 done"), "--json"]) == cli.DONE
    assert json.loads(capsys.readouterr().out) == json.loads((finished / "result.json").read_text())


def test_what_is_no_run_is_neither_shown_nor_listed(tmp_path, capsys):
    assert cli.main(["show", str(tmp_path)]) == cli.BAD_USAGE
    assert "`RUN` must be the directory of a finished search" in capsys.readouterr().err
    assert cli.main(["list", str(tmp_path / "none")]) == cli.BAD_USAGE
    assert "there is no directory" in capsys.readouterr().err
    assert cli.main(["list", str(tmp_path)]) == cli.DONE
    assert "There is no run in" in capsys.readouterr().out


def test_devices_are_listed_with_their_sources_without_tensorflow(capsys):
    code = "import sys; from kgrow import cli; cli.main(['devices']); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("False")
    for name, device in devices().items():
        assert re.search(
            rf"^{name} +{grouped(device['flash_bytes'])} +{grouped(device['ram_bytes'])}$", done.stdout, re.MULTILINE
        )
        assert device["source"] in done.stdout.replace("\n", "")


def test_preference_that_does_not_go_with_the_objective_is_bad_usage(tmp_path, capsys):
    options = ["--prefer", "small", "--objective", "mixed:0.5", "--out", str(tmp_path / "run")]
    assert cli.main(["search", "digits", *options]) == cli.BAD_USAGE
    assert "`prefer` must be 'accurate' with an objective that counts energy" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_export_that_cannot_be_is_said_in_one_line_and_writes_nothing(finished, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["export", str(finished), "--early-exit", "--threshold", "-1", "--out", str(out)]) == cli.BAD_USAGE
    assert "`threshold` must be a confidence" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("name", ["model.tflite", "metadata.json"])
def test_what_the_device_program_finds_wrong_is_said_in_one_line_too(name, tmp_path, capsys):
    (tmp_path / name).write_bytes(b"cut short")
    path = tmp_path / name if name == "model.tflite" else tmp_path
    assert cli.main(["benchmark", str(path)]) == cli.BAD_USAGE
    captured = capsys.readouterr()
    assert captured.err.startswith("kgrow: ")
    assert captured.err.count("\n") == 1
    assert name in captured.err


@pytest.mark.slow
def test_given_keep_ratios_are_announced_as_one_trial(tmp_path, capsys):
    options = ["--epochs", "1", "--keep-ratio", "0.5", "--verbose", "2"]
    assert cli.main(["search", "digits", "--out", str(tmp_path / "run"), *options]) == cli.DONE
    assert "trial 0000 (1 of 1): keep 0.5 0.5 0.5" in capsys.readouterr().err


@pytest.mark.slow
def test_evidence_as_criterion_and_strategy_reaches_the_run(tmp_path):
    options = ["--epochs", "2", "--keep-ratio", "0.5", "--verbose", "0", "--criterion", "fisher", "--strategy", "bayes"]
    assert cli.main(["search", "digits", "--out", str(tmp_path / "run"), *options]) == cli.DONE
    document = json.loads((tmp_path / "run" / "result.json").read_text())
    assert document["config"]["criterion"].startswith("FisherPruning(")
    assert 0 < document["best"]["kept_params"] <= 0.5 * document["best"]["prunable_params"] + 3  # one per block at most


def wait_for(path: Path, process: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} was not written in {seconds} s"
        assert process.poll() is None, f"the process ended without writing {path.name}"
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_keeps_the_checkpoint_and_prints_the_command_that_goes_on(tmp_path):
    command = ["search", "digits", "--epochs", "8", "--keep-ratio", "0.5", "--out", str(tmp_path / "run")]
    # A shell lets what it runs in the background ignore Ctrl-C, the tests and their children included.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); import kgrow.cli as cli"
    code += "; sys.exit(cli.main())"
    process = subprocess.Popen([sys.executable, "-c", code, *command, "--overwrite"], stderr=subprocess.PIPE, text=True)
    checkpoint = tmp_path / "run/trials/0000/last.npz"
    wait_for(checkpoint, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == cli.INTERRUPTED
    assert "Traceback" not in errors
    assert f"kgrow {' '.join(command)}\n" in errors  # without what would remove the checkpoint
    assert checkpoint.exists()


@pytest.mark.slow
def test_a_narrow_terminal_shows_the_whole_run_and_gets_its_cursor_back(tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "kgrow", "search", "digits", "--epochs", "2", "--keep-ratio", "0.5"]
    command += ["--details", "--out", str(out)]
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        command, stdout=writer, stderr=writer, env={**os.environ, "COLUMNS": "40", "LINES": "20", "TERM": "xterm"}
    )
    os.close(writer)
    shown = b""
    while True:
        try:
            part = os.read(reader, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    assert process.wait() == cli.DONE
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown).decode()
    assert "model.tflite" in text
    assert "Traceback" not in text
    assert "WARNING" not in text  # TensorFlow's start-up noise
    assert shown.count(b"\x1b[?25h") >= shown.count(b"\x1b[?25l")


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "nosuch"),
        ("search", "./nosuch"),
        ("export", "RUN", "--out", "x", "--dataset", "nosuch"),
    ],
)
def test_no_is_said_before_tensorflow_is_imported(arguments, tmp_path):
    program = (
        "import sys; from kgrow.cli import main; print(main(sys.argv[1:]), *sys.modules.keys() & "
        "{'tensorflow', 'tensorflow_datasets', 'tf_keras', 'keras_tuner'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "2\n"
    assert "nosuch'" in done.stderr
    assert not any(tmp_path.iterdir())
