"""A search that is killed with SIGKILL and started again ends as one that was left alone."""

import dataclasses
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kgrow._encoding import decode_arrays

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX")
ROOT = Path(__file__).parents[1]
# The later trials are forked from the first one's prefixes.
SEARCH = ("search", "digits", "--epochs", "5", "--limit", "params=9000", "--trials", "3", "--verbose", "0")
NOT_COMPARED = {"files", "wall_s", "seconds", "latency_ms", "latency_p95_ms"}
MINUTES = 60


# A single life, killed twice. The library is imported once, in a process that forks before TensorFlow starts to work.

LIVES = """
import os, pickle, signal, sys, time
from pathlib import Path
from kgrow.lifecycle import Lifecycle
from kgrow.training import Observer
from kgrow.run import Run

directory, given, *moments = sys.argv[1:]
task, architecture, ratios, settings = pickle.loads(Path(given).read_bytes())
log = Path(directory, "0000", "events.jsonl")

def live():
    with Run.open(directory, {}) as run:
        Lifecycle(task, architecture, ratios, settings, run.child("0000"), Observer()).train()

def lines():
    return log.read_bytes().count(b"\\n") if log.exists() else 0

for moment in [*map(int, moments), None]:
    process = os.fork()
    if process == 0:
        live()
        os._exit(0)
    while moment is not None and lines() < moment:
        time.sleep(0.002)
    if moment is not None:
        os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    assert status == (0 if moment is None else signal.SIGKILL), status
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("growth", ["fixed", "plateau", "noise", "depth", "interleaved", "market"])
def test_killed_life_ends_bitwise_as_an_unbroken_one(
    tmp_path, tiny_task, tiny_architecture, tiny_settings, outcome_of, same_arrays, growth
):
    from kgrow.lifecycle import Lifecycle
    from kgrow.run import Run
    from kgrow.structure import DepthSearch, GradientNoise, Interleaved, LossPlateau, Market
    from kgrow.training import Observer

    # Those that decide by what they see grow or cut before epoch 3, near which they are killed.
    policies = {
        "plateau": LossPlateau(1, tolerance=0.999, until=0.7),
        "noise": GradientNoise(threshold=-1e6, num_examples=8),
        "depth": DepthSearch(1),
        "interleaved": Interleaved(0.3, 0.15),
        "market": Market(num_examples=24, credit=20.0),
    }
    settings = dataclasses.replace(tiny_settings, growth=policies.get(growth))
    arguments = (tiny_task, tiny_architecture, (0.5, 0.3), settings)
    with Run.open(tmp_path / "unbroken", {}) as run:
        unbroken = Lifecycle(*arguments, run.child("0000"), Observer())
        unbroken.train()
    given = tmp_path / "given.pickle"
    given.write_bytes(pickle.dumps(arguments))
    command = [sys.executable, "-c", LIVES, str(tmp_path / "run"), str(given), "3", "7"]
    done = subprocess.run(command, cwd=ROOT, env=quiet(), capture_output=True, text=True, timeout=10 * MINUTES)
    assert done.stdout == "done\n", done.stderr
    with Run.open(tmp_path / "run", {}) as run:
        *told, arrays = outcome_of(run.child("0000"))
        *expected, expected_arrays = outcome_of(unbroken.run)
    assert told == expected
    assert same_arrays(arrays, expected_arrays)


def quiet():
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


# The whole command


def start(directory, log):
    command = [sys.executable, "-m", "kgrow", *SEARCH, "--out", str(directory)]
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)


def finish(directory, log):
    with start(directory, log) as process:
        code = process.wait(timeout=20 * MINUTES)
    log.seek(0)
    assert code == 0, log.read()


def kill_when(directory, log, is_time):
    """Starts the command and kills it when the moment has come; returns whether it had not ended before."""
    with start(directory, log) as process:
        while process.poll() is None and not is_time():
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return process.returncode == -signal.SIGKILL


def num_events(directory):
    return sum(log.read_bytes().count(b"\n") for log in directory.glob("trials/*/events.jsonl"))


def compared(value):
    if isinstance(value, dict):
        kept = {key: compared(part) for key, part in value.items() if key not in NOT_COMPARED}
        if "tried_so_far" in kept:  # KerasTuner writes a set, whose order is another in each process
            kept["tried_so_far"] = sorted(kept["tried_so_far"])
        return kept | {"path": Path(kept["path"]).name} if "path" in kept else kept
    return [compared(part) for part in value] if isinstance(value, list) else value


def what_is_left(directory):
    """Returns every file of a finished search in a form that two directories can share."""
    left = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.suffix == ".json":
            left[name] = compared(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":
            left[name] = [compared(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.suffix == ".npz":
            arrays, metadata = decode_arrays(path.read_bytes(), name)
            left[name] = {key: value.tobytes() for key, value in arrays.items()}, compared(metadata)
        elif path.is_file() and path.name not in ("kgrow.files", "kgrow.lock") and "tensorboard/" not in name:
            left[name] = path.stat().st_size
    return left


def check_equal(directory, reference):
    left = what_is_left(directory)
    assert left.keys() == reference.keys()
    for name, contents in reference.items():
        assert left[name] == contents, name
    assert not list(directory.rglob("*.kgrow-tmp"))


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A search that nobody disturbed: its directory, what it left, the number of its events."""
    folder = tmp_path_factory.mktemp("reference")
    with open(folder / "log", "w+") as log:
        finish(folder / "search", log)
    directory = folder / "search"
    left = what_is_left(directory)
    assert left["result.json"]["complete"]
    assert len(left["result.json"]["candidates"]) == 3
    return directory, left, num_events(directory)


@pytest.mark.slow
def test_search_killed_after_certain_events_ends_as_an_unbroken_one(tmp_path, reference):
    _, left, last = reference
    directory = tmp_path / "search"
    with open(tmp_path / "log", "w+") as log:
        # After the first event, in the middle of each trial, and between the last event and the result.
        for moment in (1, last // 6, last // 2, last - 3, last):
            assert kill_when(directory, log, lambda moment=moment: num_events(directory) >= moment)
        assert not (directory / "result.json").exists()
        finish(directory, log)
    check_equal(directory, left)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_search_killed_at_random_moments_ends_as_an_unbroken_one(tmp_path, reference, seed):
    _, left, last = reference
    directory, moments = tmp_path / "search", random.Random(seed)
    with open(tmp_path / "log", "w+") as log:
        for moment in sorted(moments.sample(range(1, last - 5), 4)):
            delay = moments.uniform(0.0, 0.3)

            def is_time(moment=moment, delay=delay):
                return num_events(directory) >= moment and (time.sleep(delay) or True)

            assert kill_when(directory, log, is_time)
        finish(directory, log)
    check_equal(directory, left)


@pytest.mark.slow
def test_command_on_a_finished_search_changes_nothing(tmp_path, reference):
    directory, left, *_ = reference
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*.npz")}
    with open(tmp_path / "log", "w+") as log:
        finish(directory, log)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*.npz")} == before
    check_equal(directory, left)
