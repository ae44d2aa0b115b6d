"""Tests of the run directory; those that kill do so with a real SIGKILL in another process."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from kgrow.run import Run

CONFIG = {"epochs": 3, "keep_ratios": (0.8, 0.5), "growth": {"policy": "fixed", "patience": 2}, "verbose": 1}
POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL, flock and /dev/full are POSIX")
ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(tmp_path):
    with Run.open(tmp_path / "run", CONFIG) as opened:
        yield opened


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def python(code, *arguments):
    """Starts a Python process that runs the code."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # some tests fork, which threads would not survive
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output_of(code, *arguments):
    """Runs the code to its end, which must be a good one, and returns what it printed."""
    with python(code, *arguments) as process:
        printed = process.communicate(timeout=60)[0]
    assert process.returncode == 0, printed
    return printed


def test_import_needs_no_tensorflow():
    assert output_of("import kgrow.run, sys; print('tensorflow' in sys.modules)") == "False\n"


# Opening


def test_open_creates_the_directory_and_writes_the_configuration(tmp_path):
    with Run.open(tmp_path / "a" / "b", CONFIG) as run:
        assert run.path == tmp_path / "a" / "b"
        assert run.config == json.loads(json.dumps(CONFIG))
    header = json.loads((tmp_path / "a" / "b" / "config.json").read_text())
    assert header["config"] == run.config
    assert header["format"] == "kgrow-run-1"
    assert header["kgrow_version"]


def test_equal_configuration_resumes(tmp_path):
    with Run.open(tmp_path, CONFIG) as run:
        run.append({"epoch": 1})
        run.write_json("result.json", {"a": 1})
    with Run.open(str(tmp_path), {**CONFIG, "keep_ratios": [0.8, 0.5]}) as run:
        assert run.events() == [{"epoch": 1}]
        assert run.read_json("result.json") == {"a": 1}


def test_other_configuration_is_refused_with_every_differing_key(tmp_path):
    with Run.open(tmp_path, CONFIG) as run:
        run.append({"epoch": 1})
    other = {"epochs": 4, "keep_ratios": (0.8, 0.5), "growth": {"policy": "fixed", "patience": 5}, "seed": 0}
    with pytest.raises(ValueError, match="same configuration") as caught:
        Run.open(tmp_path, other)
    message = str(caught.value)
    assert "epochs was 3 and is now 4" in message
    assert "growth.patience was 2 and is now 5" in message
    assert "seed was 'absent' and is now 0" in message
    assert "verbose was 1 and is now 'absent'" in message
    assert "policy" not in message
    assert "keep_ratios" not in message
    for remedy in ("`overwrite=True`", "`--overwrite`", "`directory`", str(tmp_path)):
        assert remedy in message
    with Run.open(tmp_path, CONFIG) as run:
        assert run.events() == [{"epoch": 1}]


@pytest.mark.parametrize("version", ["0.1.0", "0.3.0", "1.2.0", "later"])
def test_run_of_another_minor_version_is_refused_with_both_versions_and_may_be_overwritten(tmp_path, version):
    Run.open(tmp_path, CONFIG).close()
    header = json.loads((tmp_path / "config.json").read_text())
    for stored, is_ours in ((version, False), ("0.2.9", True)):
        (tmp_path / "config.json").write_text(json.dumps({**header, "kgrow_version": stored}))
        if is_ours:
            Run.open(tmp_path, CONFIG).close()
        else:
            with pytest.raises(ValueError, match=rf"a run of kgrow 0\.2\.0, but .*config.json' is of kgrow {version}"):
                Run.open(tmp_path, CONFIG)
    (tmp_path / "config.json").write_text(json.dumps({**header, "kgrow_version": version}))
    Run.open(tmp_path, CONFIG, overwrite=True).close()
    assert json.loads((tmp_path / "config.json").read_text())["kgrow_version"] == "0.2.0"


def test_long_values_that_differ_are_named_only(tmp_path):
    Run.open(tmp_path, {"blocks": [{"filters": 16}] * 20, "epochs": 3}).close()
    with pytest.raises(ValueError, match=r"where blocks is another one; epochs was 3 and is now 4\."):
        Run.open(tmp_path, {"blocks": [{"filters": 16}] * 21, "epochs": 4})


@pytest.mark.parametrize("config", [5, "text", [], [[]], True])
def test_configuration_of_a_wrong_type_is_named_and_can_be_overwritten(tmp_path, config):
    Run.open(tmp_path, CONFIG).close()
    header = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**header, "config": config}))
    with pytest.raises(ValueError, match=r"config\.json is damaged: `config` must be an object or null, but got"):
        Run.open(tmp_path, CONFIG)
    Run.open(tmp_path, CONFIG, overwrite=True).close()


@pytest.mark.parametrize("line", [b"5", b"null", b"[]", b"[" * 5000 + b"]" * 5000])
def test_event_that_is_no_object_is_named(run, line):
    (run.path / "events.jsonl").write_bytes(line + b'\n{"epoch": 2}\n')
    with pytest.raises(ValueError, match=r"events\.jsonl, line 1 is damaged"):
        run.events()


def test_a_run_in_another_format_is_refused_unless_overwritten(tmp_path):
    Run.open(tmp_path, CONFIG).close()
    header = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**header, "format": "kgrow-run-2"}))
    with pytest.raises(ValueError, match="format was 'kgrow-run-2' and is now 'kgrow-run-1'"):
        Run.open(tmp_path, CONFIG)
    Run.open(tmp_path, CONFIG, overwrite=True).close()


@pytest.mark.parametrize("bad", [{"rate": float("nan")}, {"loss": object()}])
def test_bad_configuration_leaves_no_directory(tmp_path, bad):
    with pytest.raises(ValueError, match="`config` must hold plain values"):
        Run.open(tmp_path / "run", bad)
    assert not (tmp_path / "run").exists()


# Foreign and unwritable directories


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("thesis.tex", "years of work"),
        ("config.json", '{"model_type": "bert"}'),
        ("config.json", '{"kgrow_version": "0.1.0", "format": "other", "config": {}}'),
        ("config.json", "[1, 2]"),
        ("config.json", "not json"),
        ("config.json/inner", "a folder"),
    ],
)
def test_foreign_directory_is_never_touched(tmp_path, name, content, overwrite):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(FileExistsError, match="`directory` must be new, empty or a run of kgrow"):
        Run.open(tmp_path, CONFIG, overwrite=overwrite)
    assert files_in(tmp_path) == {name}
    assert path.read_text() == content


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="file"):
        Run.open(tmp_path / "file", CONFIG, overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_empty_directory_is_used(tmp_path):
    Run.open(tmp_path, CONFIG).close()
    assert "config.json" in files_in(tmp_path)


def test_directory_below_a_file_is_a_permission_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(PermissionError, match=r"file.* must be writable, but is not: .*Name another"):
        Run.open(tmp_path / "file" / "run", CONFIG)


@POSIX_ONLY
def test_unwritable_directory_is_a_permission_error():
    # Root ignores permission bits, so root becomes "nobody" for a moment; pytest's own tmp_path is closed to others.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            for path in (folder, f"{folder}/run"):
                with pytest.raises(PermissionError, match="must be writable, but is not") as caught:
                    Run.open(path, CONFIG)
                assert folder in str(caught.value)
        finally:
            os.seteuid(user)
            os.chmod(folder, 0o755)
        assert files_in(Path(folder)) == set()


# Overwriting


def test_overwrite_removes_what_kgrow_wrote_and_nothing_else(tmp_path):
    with Run.open(tmp_path, CONFIG) as run:
        run.append({"epoch": 1})
        run.write_json("result.json", {})
        run.save_arrays("checkpoints/last.npz", {"a": np.ones(2)}, {})
        trial = run.child("trials/0000")
        trial.append({"epoch": 1})
        trial.write_bytes("deep/er/model.tflite", b"TFL3")
        run.claim("page.html").write_text("by other code")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "trials" / "mine").mkdir()
    (tmp_path / "trials" / "mine" / "plot.png").write_text("mine")
    with Run.open(tmp_path, {"epochs": 9}, overwrite=True) as run:
        assert run.events() == []
        assert run.config == {"epochs": 9}
        kept = {"config.json", "kgrow.lock", "kgrow.files", "notes.txt", "trials/mine/plot.png"}
        assert files_in(tmp_path) == kept
        assert not (tmp_path / "checkpoints").exists()
        assert not (tmp_path / "trials" / "0000").exists()


def test_overwrite_of_nothing_is_a_new_run(tmp_path):
    with Run.open(tmp_path / "new", CONFIG, overwrite=True) as run:
        assert run.events() == []


def test_overwrite_follows_no_list_out_of_the_directory(tmp_path):
    Run.open(tmp_path / "run", CONFIG).close()
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "run" / "kgrow.files").write_text('"../mine.txt"\n')
    with pytest.raises(ValueError, match="inside the run directory"):
        Run.open(tmp_path / "run", CONFIG, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_interrupted_overwrite_is_finished_by_the_next_open(tmp_path, monkeypatch):
    with Run.open(tmp_path, CONFIG) as run:
        run.append({"epoch": 1})
        run.write_json("result.json", {})
    monkeypatch.setattr(Run, "clear", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Run.open(tmp_path, {"epochs": 9}, overwrite=True)
    monkeypatch.undo()
    assert (tmp_path / "result.json").exists()
    with Run.open(tmp_path, CONFIG) as run:
        assert run.events() == []
        assert not run.has("result.json")


# One process at a time


@POSIX_ONLY
def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    code = """
        import sys, time
        from kgrow.run import Run
        run = Run.open(sys.argv[1], {"epochs": 3})
        print("open", flush=True)
        time.sleep(60)
    """
    with python(code, tmp_path) as process:
        assert process.stdout.readline() == "open\n"
        with pytest.raises(BlockingIOError, match=f"in use by process {process.pid}") as caught:
            Run.open(tmp_path, {"epochs": 3}, overwrite=True)
        assert "`directory`" in str(caught.value)
        process.kill()
        process.wait()
    Run.open(tmp_path, {"epochs": 3}).close()


@POSIX_ONLY
def test_a_second_run_object_is_refused_until_the_first_is_closed(tmp_path):
    with Run.open(tmp_path, CONFIG) as run:
        run.child("trials/0")
        with pytest.raises(BlockingIOError, match=f"in use by process {os.getpid()}"):
            Run.open(tmp_path, CONFIG)
    run.close()
    Run.open(tmp_path, CONFIG).close()


def test_a_refused_open_holds_no_lock(tmp_path):
    Run.open(tmp_path, CONFIG).close()
    with pytest.raises(ValueError, match="epochs") as caught:
        Run.open(tmp_path, {"epochs": 1})
    assert caught.value.__traceback__ is not None  # it keeps the frames of the failed open alive
    Run.open(tmp_path, CONFIG).close()


@POSIX_ONLY
def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    Run.open(tmp_path, CONFIG).close()


# Events


def test_events_come_back_in_order_with_numpy_numbers_made_plain(run):
    run.append({"epoch": np.int64(1), "accuracy": np.float32(0.5), "heads": np.array([1, 2]), "path": Path("a")})
    run.append({"epoch": 2, "text": "line\nbreak é"})
    assert run.events() == [
        {"epoch": 1, "accuracy": 0.5, "heads": [1, 2], "path": "a"},
        {"epoch": 2, "text": "line\nbreak é"},
    ]
    assert (run.path / "events.jsonl").read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("torn", [b'{"epoch": 2', b'{"epoch": 2}', b"\n", b'{"epo\n', b"\x00\x00\x00\n", b"\xff\xfe"])
def test_torn_last_line_is_dropped_and_the_next_event_starts_a_line(tmp_path, torn):
    with Run.open(tmp_path, CONFIG) as run:
        run.append({"epoch": 1})
    with open(tmp_path / "events.jsonl", "ab") as file:
        file.write(torn)
    with Run.open(tmp_path, CONFIG) as run:
        assert run.events() == [{"epoch": 1}]
        run.append({"epoch": 2})
        assert run.events() == [{"epoch": 1}, {"epoch": 2}]


def test_a_line_torn_while_the_run_is_open_is_not_read(run):
    run.append({"epoch": 1})
    with open(run.path / "events.jsonl", "ab") as file:
        file.write(b'{"epoch"')
    assert run.events() == [{"epoch": 1}]


def test_damage_before_the_last_line_is_an_error_that_names_it(run):
    run.append({"epoch": 1})
    (run.path / "events.jsonl").write_bytes(b'{"epoch": 1}\n{"epo\n{"epoch": 3}\n')
    with pytest.raises(ValueError, match=r"events\.jsonl, line 2 is damaged"):
        run.events()


def test_truncate_keeps_the_first_events(run):
    for epoch in range(5):
        run.append({"epoch": epoch})
    run.truncate(5)
    run.truncate(2)
    run.append({"epoch": 9})
    assert run.events() == [{"epoch": 0}, {"epoch": 1}, {"epoch": 9}]
    run.truncate(0)
    assert run.events() == []


@pytest.mark.parametrize("num_events", [-1, 2])
def test_truncate_refuses_more_events_than_there_are(run, num_events):
    run.append({"epoch": 0})
    with pytest.raises(ValueError, match=f"`num_events` must be between 0 and 1, but got {num_events}"):
        run.truncate(num_events)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan"), np.array([np.nan]), {1, 2}])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(run, value):
    run.write_json("result.json", {"loss": 1.0})
    before = files_in(run.path)
    with pytest.raises(ValueError, match="`event` must hold plain values and finite numbers"):
        run.append({"loss": value})
    with pytest.raises(ValueError, match=r"`result\.json` must hold plain values and finite numbers"):
        run.write_json("result.json", {"loss": value})
    with pytest.raises(ValueError, match="`metadata` must hold plain values and finite numbers"):
        run.save_arrays("last.npz", {}, {"loss": value})
    assert files_in(run.path) == before
    assert run.read_json("result.json") == {"loss": 1.0}


# JSON and other files


def test_json_keeps_the_order_of_its_keys_and_ends_with_a_line(run):
    run.write_json("architecture.json", {"z": 1, "a": {"y": (1, 2), "b": None}})
    text = (run.path / "architecture.json").read_text()
    assert text.startswith('{\n  "z": 1,\n  "a": {')
    assert text.endswith("}\n")
    assert run.read_json("architecture.json") == {"z": 1, "a": {"y": [1, 2], "b": None}}


def test_damaged_json_is_named(run):
    run.write_json("result.json", {"a": 1})
    (run.path / "result.json").write_text('{"a": ')
    with pytest.raises(ValueError, match=r"result\.json is damaged"):
        run.read_json("result.json")


def test_absent_files(run):
    assert not run.has("result.json")
    run.remove("result.json")
    with pytest.raises(FileNotFoundError):
        run.read_json("result.json")
    with pytest.raises(FileNotFoundError):
        run.load_arrays("last.npz")


def test_has_and_remove(run):
    run.write_bytes("export/model.tflite", b"TFL3")
    assert run.has("export/model.tflite")
    assert not run.has("export")
    run.remove("export/model.tflite")
    assert not run.has("export/model.tflite")


def test_renamed_file_takes_the_place_of_another_and_is_still_kgrows_own(run):
    run.write_bytes("measured.tflite", b"new")
    run.write_bytes("model.tflite", b"old")
    run.rename("measured.tflite", "model.tflite")
    assert (run.path / "model.tflite").read_bytes() == b"new"
    assert run.files() == ["model.tflite"]


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "", "."])
def test_names_stay_inside_the_directory(run, name):
    for method in (run.has, run.remove, run.child, run.read_json, run.load_arrays):
        with pytest.raises(ValueError, match="`name` must be a path inside the run directory"):
            method(name)
    with pytest.raises(ValueError, match="inside the run directory"):
        run.write_bytes(name, b"")


def test_each_write_reaches_the_disk_before_the_name_and_then_the_folder(run, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync") or fsync(descriptor))
    monkeypatch.setattr(os, "replace", lambda old, new: calls.append("replace") or replace(old, new))
    run.write_json("result.json", {})
    run.append({"epoch": 1})
    calls.clear()
    run.write_json("result.json", {})
    assert calls == ["fsync", "replace"] + ["fsync"] * (os.name != "nt")
    calls.clear()
    run.append({"epoch": 2})
    assert calls == ["fsync"]


# Arrays

ARRAYS = {
    "block_2/conv:0": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a": np.array(3, np.int64),
    "mask": np.array([True, False]),
    "empty": np.zeros((0, 5), np.float16),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(10, dtype=np.uint8)[::3],
    "file": np.array(["é", "bc"]),
    "x.npy": np.array([1 + 2j]),
}


def same(left, right):
    return (
        list(left) == list(right)
        and all(left[key].dtype == right[key].dtype for key in left)
        and all(np.array_equal(left[key], right[key]) for key in left)
    )


def test_arrays_come_back_with_order_types_and_metadata(run):
    run.save_arrays("checkpoints/last.npz", ARRAYS, {"epoch": np.int32(3), "order": ["b", "a"], "none": None})
    arrays, metadata = run.load_arrays("checkpoints/last.npz")
    assert same(arrays, ARRAYS)
    assert metadata == {"epoch": 3, "order": ["b", "a"], "none": None}
    arrays["a"][...] = 4  # they are the caller's own


def test_the_file_is_an_uncompressed_npz_of_reproducible_bytes(run):
    run.save_arrays("a.npz", ARRAYS, {"epoch": 1})
    run.save_arrays("b.npz", ARRAYS, {"epoch": 1})
    assert (run.path / "a.npz").read_bytes() == (run.path / "b.npz").read_bytes()
    with np.load(run.path / "a.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["block_2/conv:0"], ARRAYS["block_2/conv:0"])
        assert json.loads(archive["__metadata__"].tobytes())["metadata"] == {"epoch": 1}
    large = np.zeros(50_000)
    run.save_arrays("large.npz", {"large": large}, {})
    assert (run.path / "large.npz").stat().st_size > large.nbytes


@pytest.mark.parametrize(
    "array", [np.array([None]), np.array([{}, 1], object), np.zeros(2, "V2"), np.zeros(2, [("a", float)])]
)
def test_arrays_of_objects_and_raw_bytes_are_refused(run, array):
    with pytest.raises(ValueError, match=r"`arrays\['w'\]` must hold numbers, booleans or strings, but got dtype"):
        run.save_arrays("last.npz", {"w": array}, {})
    assert not run.has("last.npz")


def test_the_name_of_the_metadata_is_taken(run):
    with pytest.raises(ValueError, match="'__metadata__'"):
        run.save_arrays("last.npz", {"__metadata__": np.ones(1)}, {})


def test_every_damaged_byte_is_noticed_or_harmless(run):
    run.save_arrays("last.npz", {"w": np.arange(4, dtype=np.float32), "b": np.ones(1)}, {"epoch": 3})
    path = run.path / "last.npz"
    good = path.read_bytes()
    for position in range(0, len(good), 3):
        damaged = bytearray(good)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            arrays, metadata = run.load_arrays("last.npz")
        except ValueError as error:
            message = str(error)
        else:
            assert same(arrays, {"w": np.arange(4, dtype=np.float32), "b": np.ones(1)})
            assert metadata == {"epoch": 3}
            continue
        assert message.startswith(f"{path} is damaged")


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_cut_off_file_is_named(run, size):
    run.save_arrays("last.npz", {"w": np.ones(100)}, {})
    path = run.path / "last.npz"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"last\.npz is damaged"):
        run.load_arrays("last.npz")


def test_pickled_arrays_are_never_loaded(run):
    np.savez(run.path / "last.npz", w=np.array([{}], object))
    with pytest.raises(ValueError, match=r"last\.npz is damaged"):
        run.load_arrays("last.npz")


# Children


def test_children_are_runs_of_their_own_below(run):
    first, second = run.child("trials/0000"), run.child("trials/0001")
    first.append({"epoch": 1})
    first.save_arrays("last.npz", {"w": np.ones(1)}, {})
    second.write_json("result.json", 2)
    assert run.events() == []
    assert second.events() == []
    assert run.child("trials/0000").events() == [{"epoch": 1}]
    assert run.has("trials/0000/last.npz")
    assert first.config == run.config
    first.clear()
    assert not first.path.exists()
    assert second.read_json("result.json") == 2
    first.append({"epoch": 1})
    assert first.events() == [{"epoch": 1}]


def test_torn_log_of_a_child_is_mended(run):
    run.child("trials/0").append({"epoch": 1})
    with open(run.path / "trials/0/events.jsonl", "ab") as file:
        file.write(b'{"ep')
    trial = run.child("trials/0")
    trial.append({"epoch": 2})
    assert trial.events() == [{"epoch": 1}, {"epoch": 2}]


# A full disk


def fill_disk(monkeypatch):
    """Makes each write fail as on a full disk, until `monkeypatch.undo`."""

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    return monkeypatch


def test_full_disk_keeps_the_old_file_and_says_what_to_do(run, monkeypatch):
    run.write_json("result.json", {"epoch": 1})
    fill_disk(monkeypatch)
    with pytest.raises(OSError, match=r"result\.json could not be written: No space left on device") as caught:
        run.write_json("result.json", {"epoch": 2})
    assert "free some space" in str(caught.value)
    assert run.read_json("result.json") == {"epoch": 1}
    assert not list(run.path.glob("*.kgrow-tmp"))
    monkeypatch.undo()
    run.write_json("result.json", {"epoch": 3})
    assert run.read_json("result.json") == {"epoch": 3}


def test_full_disk_says_so_for_events_too(run, monkeypatch):
    run.append({"epoch": 1})
    fill_disk(monkeypatch)
    with pytest.raises(OSError, match=r"events\.jsonl could not be written: No space left on device"):
        run.append({"epoch": 2})
    assert run.events() == [{"epoch": 1}]


@POSIX_ONLY
def test_a_write_cut_off_half_way_is_undone(tmp_path):
    # A limit on the size of files stops a write after some of its bytes, as a disk does that fills up.
    printed = output_of(
        """
        import resource, sys
        import numpy as np
        from kgrow.run import Run
        run = Run.open(sys.argv[1], {})
        run.append({"epoch": 1})
        run.save_arrays("last.npz", {"w": np.ones(10)}, {"epoch": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
        for write in (
            lambda: run.append({"epoch": 2, "text": "x" * 9000}),
            lambda: run.save_arrays("last.npz", {"w": np.ones(10_000)}, {"epoch": 2}),
            lambda: run.write_json("new.json", "x" * 9000),
        ):
            try:
                write()
                print("written")
            except OSError as error:
                print(error)
        print(run.events(), run.load_arrays("last.npz")[1], run.has("new.json"))
        run.append({"epoch": 3})
        """,
        tmp_path,
    ).splitlines()
    for line, name in zip(printed, ("events.jsonl", "last.npz", "new.json"), strict=False):
        assert f"{tmp_path / name} could not be written: File too large" in line
    assert printed[3] == "[{'epoch': 1}] {'epoch': 1} False"
    with Run.open(tmp_path, {}) as run:
        assert run.events() == [{"epoch": 1}, {"epoch": 3}]
        assert not list(tmp_path.rglob("*.kgrow-tmp"))


# Kills

# One epoch: an event, a file, a trial of its own, and last the checkpoint, from which on the epoch counts as done.
EPOCH = """
import numpy as np
from kgrow.run import Run

def take_up(path, config={"epochs": 9}, **options):
    run = Run.open(path, config, **options)
    step = 0
    if run.has("checkpoints/last.npz"):
        arrays, metadata = run.load_arrays("checkpoints/last.npz")
        step = metadata["step"]
        assert all((array == step).all() for array in arrays.values()), "torn arrays"
    assert run.events()[:step] == [{"step": i + 1} for i in range(step)], "lost events"
    if run.has("result.json"):
        assert run.read_json("result.json")["step"] in (step, step + 1), "torn result"
    run.truncate(step)
    return run, step

def epoch(run, step, size):
    run.append({"step": step})
    run.write_json("result.json", {"step": step, "pad": "x" * size})
    trial = run.child("trials/0000")
    trial.append({"step": step})
    if step % 2 == 0:
        trial.clear()
    arrays = {f"block_{i}/kernel": np.full(size, step, np.float32) for i in range(3)}
    run.save_arrays("checkpoints/last.npz", arrays, {"step": step})
"""


@POSIX_ONLY
def test_kill_at_random_moments_never_tears_a_file(tmp_path):
    code = (
        EPOCH
        + """
import sys
run, step = take_up(sys.argv[1])
print("open", flush=True)
while True:
    step += 1
    epoch(run, step, 50_000)
"""
    )
    moments = random.Random(0)
    last = 0
    for _ in range(8):
        with python(code, tmp_path) as process:
            line = process.stdout.readline()
            assert line == "open\n", line + process.stdout.read()
            time.sleep(moments.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            process.wait()
        with Run.open(tmp_path, {"epochs": 9}) as run:
            steps = [event["step"] for event in run.events()]
            assert steps == list(range(1, len(steps) + 1))
            step = run.load_arrays("checkpoints/last.npz")[1]["step"] if run.has("checkpoints/last.npz") else 0
            assert last <= step
            assert step in (len(steps), len(steps) - 1)
            last = step
            assert not list(tmp_path.rglob("*.kgrow-tmp"))
    assert last > 0


# The profiler announces every call of C code: each one that changes the disk is killed in front of once.
KILL = """
import io, os, signal, sys, types
os.fsync = lambda descriptor: None  # it guards against power loss, not kills, and takes nearly all of the time
CALLS = {"open", "write", "flush", "replace", "ftruncate", "unlink", "mkdir", "rmdir", "flock"}

def killed_before_call(number, work):
    process = os.fork()
    if process == 0:
        left = number
        def count(frame, event, function):
            nonlocal left
            if event != "c_call" or function.__name__ not in CALLS:
                return
            if isinstance(function.__self__, types.ModuleType | io.BufferedWriter):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        if number:
            sys.setprofile(count)
        try:
            work()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(process, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status != 0
"""


@POSIX_ONLY
def test_kill_in_front_of_every_change_of_the_disk_can_be_resumed(tmp_path):
    printed = output_of(
        EPOCH
        + KILL
        + """
import itertools, pathlib

def work():
    run, step = take_up(path)
    while step < 2:
        step += 1
        epoch(run, step, 10)

def contents(path):
    own = ("kgrow.lock", "kgrow.files")
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name not in own}

path = pathlib.Path(sys.argv[1], "unbroken")
assert not killed_before_call(0, work)
unbroken = contents(path)
for number in itertools.count(1):
    path = pathlib.Path(sys.argv[1], str(number))
    if not killed_before_call(number, work):
        break
    assert not killed_before_call(0, work)
    resumed = contents(path)
    assert resumed == unbroken, (number, resumed.keys(), unbroken.keys())
print(number)
""",
        tmp_path,
    )
    assert int(printed.splitlines()[-1]) > 50


@POSIX_ONLY
def test_overwrite_after_a_kill_in_front_of_any_change_leaves_nothing_behind(tmp_path):
    printed = output_of(
        EPOCH
        + KILL
        + """
import itertools, pathlib

def work():
    run, _ = take_up(path)
    epoch(run, 1, 10)

for number in itertools.count(1):
    path = pathlib.Path(sys.argv[1], str(number))
    was_killed = killed_before_call(number, work)
    Run.open(path, {"epochs": 5}, overwrite=True).close()
    assert {p.name for p in path.iterdir()} <= {"config.json", "kgrow.lock", "kgrow.files"}, list(path.iterdir())
    if not was_killed:
        break
print(number)
""",
        tmp_path,
    )
    assert int(printed.splitlines()[-1]) > 20


@POSIX_ONLY
def test_kill_in_front_of_every_change_of_an_overwrite_leaves_the_old_run_or_none(tmp_path):
    printed = output_of(
        EPOCH
        + KILL
        + """
import itertools, pathlib

def old():
    run, step = take_up(path)
    for step in (1, 2):
        epoch(run, step, 10)

for number in itertools.count(1):
    path = pathlib.Path(sys.argv[1], str(number))
    assert not killed_before_call(0, old)
    was_killed = killed_before_call(number, lambda: Run.open(path, {"epochs": 5}, overwrite=True))
    try:
        run = Run.open(path, {"epochs": 9})
    except ValueError as error:
        assert "epochs was 5 and is now 9" in str(error), error
        run = Run.open(path, {"epochs": 5})
    assert len(run.events()) in (0, 2)
    names = {p.name for p in path.rglob("*") if p.is_file()} - {"config.json", "kgrow.lock", "kgrow.files"}
    assert len(names) in (0, 3), names
    assert bool(names) == bool(run.events())
    run.close()
    if not was_killed:
        break
print(number)
""",
        tmp_path,
    )
    assert int(printed.splitlines()[-1]) > 10


# A directory that somebody else prepared

LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


@pytest.fixture
def prepared(tmp_path):
    """A run that was received, in which links to a folder of the user's may be laid: the run and that folder."""
    with Run.open(tmp_path / "run", CONFIG) as run:
        run.append({"epoch": 1})
        run.write_json("result.json", {"accuracy": 1.0})
        run.child("trials/0000").write_json("outcome.json", {})
    (tmp_path / "mine").mkdir()
    for name in ("precious.txt", "a.txt", "outcome.json"):
        (tmp_path / "mine" / name).write_text("years of work")
    return tmp_path / "run", tmp_path / "mine"


def check_untouched(mine):
    assert files_in(mine) == {"precious.txt", "a.txt", "outcome.json"}
    assert {path.read_text() for path in mine.iterdir()} == {"years of work"}


@LINKS
@pytest.mark.parametrize("is_hard", [False, True])
@pytest.mark.parametrize("name", ["kgrow.lock", "kgrow.files", "events.jsonl"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_link_in_place_of_what_is_changed_in_place_is_refused(prepared, name, is_hard, overwrite):
    directory, mine = prepared
    (directory / name).unlink()
    if is_hard:
        (directory / name).hardlink_to(mine / "precious.txt")
    else:
        (directory / name).symlink_to(mine / "precious.txt")
    with pytest.raises(ValueError, match=rf"{name}' must be a file of its own"):
        Run.open(directory, CONFIG, overwrite=overwrite)
    check_untouched(mine)


@LINKS
@pytest.mark.parametrize("name", ["result.json", "config.json", "new.json"])
def test_temporary_name_that_is_a_link_is_never_written_through(prepared, name):
    directory, mine = prepared
    (directory / f"{name}.kgrow-tmp").symlink_to(mine / "precious.txt")
    with Run.open(directory, CONFIG, overwrite=True) as run:
        run.write_json(name, {"epoch": 2})
        assert not (directory / name).is_symlink()
        assert run.read_json(name) == {"epoch": 2}
    assert not list(directory.glob("*.kgrow-tmp"))
    check_untouched(mine)


@LINKS
def test_file_that_is_a_link_is_replaced_and_not_written_through(prepared):
    directory, mine = prepared
    (directory / "result.json").unlink()
    (directory / "result.json").symlink_to(mine / "precious.txt")
    (directory / "page.html").symlink_to(mine / "precious.txt")
    with Run.open(directory, CONFIG) as run:
        run.write_json("result.json", {})
        run.claim("page.html").write_text("by other code")
        run.touch("page.html")
    check_untouched(mine)


@LINKS
def test_overwrite_removes_nothing_behind_a_link(prepared):
    directory, mine = prepared
    (directory / "link").symlink_to(mine)
    with open(directory / "kgrow.files", "ab") as file:
        file.write(b'"link/a.txt"\n')
    with pytest.raises(ValueError, match="link' must be a folder inside the run directory, but is reached through"):
        Run.open(directory, CONFIG, overwrite=True)
    check_untouched(mine)


@LINKS
@pytest.mark.parametrize("folder", ["trials", "trials/0000"])
def test_folder_that_is_a_link_is_no_part_of_a_run(prepared, folder):
    directory, mine = prepared
    shutil.rmtree(directory / folder)
    (directory / folder).symlink_to(mine)
    (directory / "kgrow.files").write_text("")
    with Run.open(directory, CONFIG) as run:
        for use in (
            lambda: run.child("trials/0000"),
            lambda: run.write_json(f"{folder}/outcome.json", {}),
            lambda: run.claim(f"{folder}/outcome.json"),
            lambda: run.remove(f"{folder}/a.txt"),
            lambda: run.rename(f"{folder}/a.txt", "b.txt"),
            lambda: run.remove_folder(folder),
        ):
            with pytest.raises(ValueError, match="must be a folder inside the run directory"):
                use()
    check_untouched(mine)


@LINKS
def test_folder_of_other_code_is_removed_without_what_its_links_lead_to(prepared):
    directory, mine = prepared
    (directory / "keras_tuner" / "deep").mkdir(parents=True)
    (directory / "keras_tuner" / "deep" / "link").symlink_to(mine)
    with Run.open(directory, CONFIG) as run:
        run.remove_folder("keras_tuner")
        run.remove_folder("keras_tuner")
    assert not (directory / "keras_tuner").exists()
    check_untouched(mine)


@LINKS
def test_run_that_the_user_reaches_through_a_link_works(prepared, tmp_path):
    directory, _ = prepared
    (tmp_path / "runs").symlink_to(directory.parent)
    (tmp_path / "short").symlink_to(directory)
    for path in (tmp_path / "runs" / "run", tmp_path / "short"):
        with Run.open(path, CONFIG) as run:
            run.child("trials/0000").write_json("outcome.json", {"a": 1})
            run.append({"epoch": 2})
            assert run.read_json("result.json") == {"accuracy": 1.0}
    Run.open(tmp_path / "short", {"epochs": 9}, overwrite=True).close()
    assert files_in(directory) == {"config.json", "kgrow.lock", "kgrow.files"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["kgrow.lock", "kgrow.files", "events.jsonl", "config.json"])
def test_pipe_in_place_of_a_file_is_refused_and_not_waited_for(prepared, name):
    directory, _ = prepared
    (directory / name).unlink()
    os.mkfifo(directory / name)
    with pytest.raises((ValueError, FileExistsError), match=f"{name}' must be a file|which is none of these"):
        Run.open(directory, CONFIG)


@pytest.mark.parametrize("line", [b"5", b"null", b'["a"]', b'"a\\u0000b"', b'"/etc/passwd"', b"[" * 5000 + b"]" * 5000])
def test_list_of_files_that_holds_something_else_is_named(prepared, line):
    directory, _ = prepared
    with open(directory / "kgrow.files", "ab") as file:
        file.write(line + b'\n"ok"\n')
    with pytest.raises(ValueError, match=r"kgrow\.files is damaged|inside the run directory"):
        Run.open(directory, CONFIG, overwrite=True)
