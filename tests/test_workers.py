"""A search with a chief and workers as processes of this machine, some of which are killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX"),
    pytest.mark.slow,
]
ROOT = Path(__file__).parents[1]
MAX_PARAMS = 9000
SEARCH = ("digits", "--epochs", "4", "--limit", f"params={MAX_PARAMS}", "--trials", "3", "--verbose", "2")
MINUTES = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Machines:
    """Starts processes of one search and ends those that are left."""

    def __init__(self, folder):
        self.run, self.folder = folder / "run", folder
        self.options = [*SEARCH, "--out", str(self.run), "--chief", str(free_port())]
        self.processes = {}

    def start(self, name, command, *options):
        with open(self.folder / name, "w") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "kgrow", command, *self.options, *options],
                cwd=ROOT,
                env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self, name):
        self.processes[name].send_signal(signal.SIGKILL)
        assert self.processes[name].wait() == -signal.SIGKILL, self.log(name)

    def wait(self, name, minutes=10):
        return self.processes[name].wait(timeout=minutes * MINUTES)

    def log(self, name):
        return (self.folder / name).read_text()

    def until(self, condition, minutes=5):
        end = time.monotonic() + minutes * MINUTES
        while not condition():
            assert time.monotonic() < end, {name: self.log(name) for name in self.processes}
            ended = [name for name, process in self.processes.items() if process.poll() not in (None, -signal.SIGKILL)]
            assert not ended, self.log(ended[0])
            time.sleep(0.02)

    def epochs(self, worker):
        """Returns how many epochs there are behind the checkpoints of a worker's present trials."""
        logs = self.run.glob(f"workers/*-{self.processes[worker].pid}/trials/*/events.jsonl")
        return sum(log.read_text().count('"epoch", ') for log in logs if (log.parent / "last.npz").exists())


@pytest.fixture
def machines(tmp_path):
    machines = Machines(tmp_path)
    yield machines
    for process in machines.processes.values():
        process.kill()
        process.wait()


def check_result(machines):
    result = json.loads((machines.run / "result.json").read_text())
    assert result["complete"]
    assert [trial["status"] for trial in result["candidates"]] == ["done"] * 3
    assert result["best"]["kept_params"] <= MAX_PARAMS
    assert (machines.run / "model.tflite").stat().st_size == result["best"]["artefacts"][0]["bytes"]
    assert not (machines.run / "workers").exists()
    assert not list(machines.run.rglob("*.kgrow-tmp"))
    return result


def test_trial_of_a_killed_worker_is_taken_up_by_the_other(machines):
    machines.start("chief", "search", "--lease", "6s")
    machines.start("first", "worker", "--wait", "5m")
    machines.start("second", "worker", "--wait", "5m")
    machines.until(lambda: machines.epochs("first") >= 2)
    machines.kill("first")
    assert machines.wait("chief") == 0, machines.log("chief")
    assert machines.wait("second") == 0, machines.log("second")
    check_result(machines)
    (lost,) = [json.loads(line) for line in (machines.run / "events.jsonl").read_text().splitlines() if "lost" in line]
    # It goes on from the checkpoint: the first two epochs were not trained again.
    index = int(lost["trial"])
    lines = [line for line in machines.log("second").splitlines() if line.startswith(f"trial {index:04d} epoch")]
    assert not [line for line in lines if f"{index:04d} epoch 1 of" in line]
    assert f"trial {index:04d} goes on at epoch" in machines.log("second")


def test_chief_that_is_killed_and_started_again_goes_on_with_the_same_workers(machines):
    machines.start("chief", "search", "--lease", "2m")
    machines.start("worker", "worker", "--wait", "5m")
    machines.until(lambda: (machines.run / "trials/0000/outcome.json").exists())
    machines.kill("chief")
    machines.start("chief again", "search", "--lease", "2m")
    assert machines.wait("chief again") == 0, machines.log("chief again")
    assert machines.wait("worker") == 0, machines.log("worker")
    check_result(machines)
    assert "lost" not in (machines.run / "events.jsonl").read_text()


def test_worker_whose_chief_was_killed_ends_with_a_clear_message(machines):
    machines.start("chief", "search")
    machines.start("worker", "worker", "--wait", "90s")
    machines.until(lambda: machines.epochs("worker") >= 1)
    machines.kill("chief")
    assert machines.wait("worker") == 1, machines.log("worker")
    assert "must be reachable, but was not for 90 seconds" in machines.log("worker")
    assert "Traceback" not in machines.log("worker")
