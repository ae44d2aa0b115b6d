"""Searches on a real cluster of two nodes with a worker process each, one of which is killed in mid-trial."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import kgrow
from kgrow._encoding import decode_arrays

os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")  # read when Ray is imported; the usual 30 s are few in CI
ray = pytest.importorskip("ray", reason="the extra `kgrow[ray]` is not installed")
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
SEARCH = {"epochs": 5, "limits": {"params": 9000}, "trials": 3, "verbose": 2}
# What depends on the clock, or on how far another trial was when one began.
NOT_COMPARED = {"seconds", "wall_s", "latency_ms", "latency_p95_ms", "epochs_trained", "files", "path"}
MINUTES = 60


@pytest.fixture(scope="module")
def engine():
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    yield kgrow.Ray(cluster.address)
    cluster.shutdown()


def worker_of(trial):
    """The process that trains a trial: it holds the lock of the directory in which it writes."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if not (folder / "cmdline").read_bytes().startswith(b"ray::train_remotely"):
                continue
            opened = [Path(os.readlink(descriptor)) for descriptor in (folder / "fd").iterdir()]
        except OSError:  # it has ended, or closed a file
            continue
        if any(path.name == "kgrow.lock" and (path.parent / "trials" / trial).exists() for path in opened):
            return int(folder.name)
    return None


def logs(run):
    """What the searching process knows of the trials that have a checkpoint."""
    found = run.glob("trials/*/events.jsonl")
    return {path: path.read_bytes() for path in found if (path.parent / "last.npz").exists()}


class Killer(threading.Thread):
    """Kills the worker of the first trial when two epochs of it are behind a checkpoint."""

    def __init__(self, run):
        super().__init__(daemon=True)
        self.path, self.known, self.killed = run, {}, None

    def run(self):
        end = time.monotonic() + 10 * MINUTES
        while self.killed is None and time.monotonic() < end:
            self.known = logs(self.path)
            if self.known.get(self.path / "trials/0000/events.jsonl", b"").count(b'"event": "epoch"') >= 2:
                self.killed = worker_of("0000")
                if self.killed is not None:
                    os.kill(self.killed, signal.SIGKILL)
            time.sleep(0.01)


def compared(value):
    if isinstance(value, dict):
        return {key: compared(part) for key, part in value.items() if key not in NOT_COMPARED}
    return [compared(part) for part in value] if isinstance(value, list) else value


def networks(run):
    return {path.parent.name: decode_arrays(path.read_bytes(), path.name)[0] for path in run.glob("trials/*/best.npz")}


def test_search_with_a_killed_worker_loses_no_epoch_and_ends_as_an_unbroken_one(engine, tmp_path, capfd):
    killer = Killer(tmp_path / "killed" / "digits")
    killer.start()
    killed = kgrow.search("digits", tuning={"engine": engine}, directory=tmp_path / "killed", **SEARCH)
    killer.join(MINUTES)
    said = capfd.readouterr().err
    assert killer.killed is not None
    assert said.count("trial 0000: its worker was lost; another one goes on from the checkpoint") == 1, said
    for path, log in killer.known.items():  # with the seconds that every epoch took: none was trained again
        assert path.read_bytes().startswith(log)
    unbroken = kgrow.search("digits", tuning={"engine": engine}, directory=tmp_path / "unbroken", **SEARCH)
    assert compared(killed.document) == compared(unbroken.document)
    assert killed.document["complete"]
    first, second = networks(killed.directory), networks(unbroken.directory)
    assert first.keys() == second.keys()
    for trial, arrays in first.items():
        assert arrays.keys() == second[trial].keys()
        assert all(np.array_equal(array, second[trial][name]) for name, array in arrays.items()), trial
    assert (killed.directory / "model.tflite").read_bytes() == (unbroken.directory / "model.tflite").read_bytes()
    assert json.loads((killed.directory / "trials_at_once.json").read_text()) == [[0, 2]]
    assert not list(killed.directory.rglob("*.kgrow-tmp"))
