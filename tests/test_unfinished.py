"""Tests of searches that were interrupted and are ended with what they have."""

import json
import signal
import subprocess
import sys
import time

import pytest

import kgrow
from kgrow.run import is_unfinished
from kgrow.unfinished import settle

SEARCH = ("search", "digits", "--epochs", "12", "--trials", "2")


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "kgrow", *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run that was killed after the first epoch of its first trial."""
    run = tmp_path_factory.mktemp("unfinished") / "digits"
    process = subprocess.Popen([sys.executable, "-m", "kgrow", *SEARCH, "--out", run], stdout=subprocess.DEVNULL)
    while not (run / "trials" / "0000" / "last.npz").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return run


@pytest.mark.slow
def test_interrupted_search_is_exported_and_goes_on_afterwards(interrupted, tmp_path):
    assert is_unfinished(interrupted)
    with pytest.raises(FileNotFoundError, match=r"no result\.json\. `kgrow\.unfinished\.settle` ends"):
        kgrow.load(interrupted)
    done = command("export", interrupted, "--out", tmp_path / "out", "--max-drop", 100)
    assert done.returncode == 0, done.stderr
    assert "This search is unfinished: 0 of 2 trials have ended." in done.stderr
    assert "not trained to its end, and not yet of its final structure" in done.stderr
    assert (tmp_path / "out" / "model.tflite").exists()
    assert not json.loads((interrupted / "result.json").read_text())["complete"]
    again = command(*SEARCH, "--out", interrupted)
    assert again.returncode == 0, again.stderr
    assert "goes on at epoch" in again.stdout + again.stderr
    document = json.loads((interrupted / "result.json").read_text())
    assert document["complete"]
    assert [trial["status"] for trial in document["candidates"]] == ["done", "done"]


def test_what_is_no_unfinished_search_is_left_alone(tmp_path):
    assert not is_unfinished(tmp_path)
    (tmp_path / "config.yaml").write_text("{}")
    assert not is_unfinished(tmp_path)


def test_search_without_any_network_says_so(tmp_path):
    for name in ("config.yaml", "source.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(FileNotFoundError, match="not even the first epoch has ended"):
        settle(tmp_path)


def test_damaged_origin_is_named(tmp_path):
    (tmp_path / "trials" / "0000").mkdir(parents=True)
    (tmp_path / "trials" / "0000" / "last.npz").touch()
    (tmp_path / "config.yaml").write_text("{}")
    (tmp_path / "source.json").write_text('{"dataset": 3}')
    assert is_unfinished(tmp_path)
    with pytest.raises(ValueError, match=r"source\.json"):
        settle(tmp_path)
