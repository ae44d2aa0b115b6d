"""`export/run.py` and `export/benchmark.py`, in this Python: what they read, and what they say of what they cannot."""

import dataclasses
import functools
import hashlib
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from kgrow_device import run as device
from PIL import Image

from kgrow.benchmark import benchmark
from kgrow.exporting import EarlyExit, ExportOptions, export
from kgrow.exporting.bundle import read_bundle
from kgrow.exporting.measure import open_interpreter
from kgrow.task import Split
from kgrow.task.pixels import resize

PROGRAMS = Path(__file__).parents[2] / "export"


@pytest.fixture(scope="module")
def bundle(varied_network, tiny_task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "out"
    options = ExportOptions(early_exit=EarlyExit(0.7, stages=True), max_drop=1.0)
    export(varied_network, tiny_task, folder, options)
    return folder


@pytest.fixture(scope="module")
def single(tiny_network, tiny_task, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "model.tflite"
    export(tiny_network, tiny_task, path)
    return path


def execute(program, *arguments, **environment):
    """Runs a program of the device; it never ends in a traceback."""
    command = [sys.executable, PROGRAMS / program, *arguments]
    options = {"capture_output": True, "text": True, "encoding": environment.get("PYTHONIOENCODING", "utf-8")}
    done = subprocess.run(command, env={**os.environ, **environment}, check=False, **options)
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (13, 9), (31, 50), (17, 40), (3, 64), (100, 1)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_device_resizes_as_training_does(size, channels, dtype):
    image = np.random.default_rng(0).integers(0, 256, (17, 23, channels)).astype(dtype)
    ours, theirs = device.resized(image, size), resize(image[np.newaxis], size)[0]
    assert ours.shape == theirs.shape
    # Bytes are rounded after each axis, and which is first depends on Pillow's version.
    np.testing.assert_allclose(ours, theirs.astype(np.float32), atol=1 if dtype == np.uint8 else 1e-3)


@pytest.mark.parametrize("fault", ["deflated", "method", "version", "encrypted", "offset", "short"])
def test_damaged_description_is_an_error(fault, single, tmp_path):
    content = bytearray(single.read_bytes().replace(device.SEAL, b"an older one"))  # which carries no hash
    with zipfile.ZipFile(single) as archive:
        entry, directory = archive.getinfo("metadata.json"), archive.start_dir
    data = entry.header_offset + 30 + len(entry.filename)
    if fault == "deflated":
        content[data : data + 200] = bytes(range(200))
    elif fault == "short":
        content[directory + 20 : directory + 24] = (entry.compress_size // 2).to_bytes(4, "little")
    else:
        position = {"method": 10, "version": 6, "encrypted": 8, "offset": 45}[fault]
        content[directory + position] = {"method": 99, "version": 200, "encrypted": 1, "offset": 255}[fault]
    damaged = tmp_path / "model.tflite"
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=r"must be a whole file that kgrow exported, but carries no description"):
        device.read_model(damaged)


def test_pictures_that_pillow_refuses_are_an_error(tmp_path, monkeypatch):
    Image.new("L", (64, 64)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"huge.png' must be an image, but cannot be read: .*exceeds limit"):
        device.read_image(tmp_path / "huge.png")
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sI", 4, b"IHDR", 8) + bytes(4))
    with pytest.raises(ValueError, match="must be an image"):
        device.read_image(damaged)
    monkeypatch.setattr(Image, "open", lambda path: struct.unpack("<H", b""))
    with pytest.raises(ValueError, match="must be an image, but cannot be read: unpack"):
        device.read_image(damaged)


@pytest.mark.parametrize("fault", ["archive", "damaged archive", "objects", "header", "bracket", "huge", "netpbm"])
def test_files_that_hold_no_array_are_an_error(fault, tmp_path):
    path = tmp_path / ("image.pgm" if fault == "netpbm" else "image.npy")
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (9, 9999999999999), }\n"
    whole = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    if fault == "objects":
        np.save(path, np.array([None]), allow_pickle=True)
    elif fault.endswith("archive"):
        np.savez(tmp_path / "image.npz", np.zeros((8, 8, 3)))
        content = (tmp_path / "image.npz").read_bytes()
        path.write_bytes(content if fault == "archive" else content[:200])
    else:
        contents = {"huge": whole, "header": whole.replace(b", }", b",  "), "bracket": whole.replace(b"9)", b"((")}
        path.write_bytes({**contents, "netpbm": b"P5 9 %d 255\n" % 10**30}[fault])
    with pytest.raises(ValueError, match=r"image.np?.' must be|image.pgm' must be"):
        device.read_image(path)


@pytest.mark.parametrize("program", ["run.py", "benchmark.py"])
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--threads", "0", "`num_threads` (`--threads`) must be in [1, 2**31), but got 0"),
        ("--threads", "-2", "`num_threads` (`--threads`) must be in [1, 2**31), but got -2"),
        ("--threads", "99999999999", "`num_threads` (`--threads`) must be in [1, 2**31), but got 99999999999"),
        ("--threshold", "nan", "`threshold` must be a confidence, 0 or more, but got nan"),
        ("--threshold", "inf", "`threshold` must be a confidence, 0 or more, but got inf"),
        ("--threshold", "-0.5", "`threshold` must be a confidence, 0 or more, but got -0.5"),
    ],
)
def test_numbers_without_sense_are_refused_before_the_model_is_loaded(program, option, value, message, tmp_path):
    images = [tmp_path / "image.npy"] if program == "run.py" else []
    done = execute(program, "--model", tmp_path / "missing", f"{option}={value}", *images)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_names_that_cannot_be_printed_become_escapes(single, tmp_path):
    image = tmp_path / "\u732b.npy"
    np.save(image, np.zeros((8, 8, 3), np.uint8))
    for program, arguments in (("run.py", [image]), ("benchmark.py", ["--runs", "2"])):
        done = execute(program, "--model", single, *arguments, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
        assert done.returncode == 0
        assert ("\\u732b.npy: " in done.stdout) == (program == "run.py")


def test_a_line_per_image_whatever_the_names(single, monkeypatch, capsys, tmp_path):
    image = tmp_path / "two\nlines.npy"
    np.save(image, np.zeros((8, 8, 3), np.uint8))
    read = device.read_model

    def named(path):
        metadata, models = read(path)
        return {**metadata, "classes": ["a\nb", "a\r\nb", "a\u2028b"]}, models

    monkeypatch.setattr(device, "read_model", named)
    monkeypatch.setattr(sys, "argv", ["run.py", "--model", str(single), str(image)])
    assert device.main() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "two lines.npy: a b (" in line


def test_output_may_be_anything_that_prints(single, monkeypatch, tmp_path):
    class Lines(list):
        write, flush = list.append, list.copy

    np.save(tmp_path / "image.npy", np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(sys, "argv", ["run.py", "--model", str(single), str(tmp_path / "image.npy")])
    monkeypatch.setattr(sys, "stdout", Lines())
    assert device.main() == 0
    assert "image.npy: " in "".join(sys.stdout)


@pytest.mark.parametrize("as_json", [True, False])
def test_benchmark_runs_where_memory_is_not_told(as_json, single):
    arguments = ["--model", str(single), "--runs", "2", *(["--json"] if as_json else [])]
    code = f"import runpy, sys; sys.modules['resource'] = None; sys.argv = ['benchmark.py', *{arguments}]; "
    code += (
        f"sys.path.insert(0, {str(PROGRAMS)!r}); runpy.run_path({str(PROGRAMS / 'benchmark.py')!r}, None, '__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if as_json:
        assert json.loads(done.stdout)["peak_rss_bytes"] is None
    else:
        assert done.stdout.endswith("peak memory -\n")


def test_benchmark_names_data_of_the_wrong_form(single, tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((2, 8, 8, 3), np.uint8))
    np.savez(tmp_path / "archive.npz", np.zeros(2, int))
    np.save(tmp_path / "scalar.npy", 3)
    for images, labels, message in (
        ("scalar", None, "`--images` must hold images (num_images, height, width)"),
        ("archive.npz", None, "archive.npz' must be a .npy file of one array"),
        ("images", "scalar", "`--labels` must hold one class index per image"),
        ("images", "archive.npz", "archive.npz' must be a .npy file of one array"),
    ):
        paths = [tmp_path / (name if "." in name else f"{name}.npy") for name in (images, labels) if name]
        options = [part for pair in zip(("--images", "--labels"), paths, strict=False) for part in pair]
        done = execute("benchmark.py", "--model", single, *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr


@pytest.fixture
def run_program(monkeypatch, capsys, tmp_path, tiny_task):
    """Runs `run.py` in this process on one image, as `execute` does: returns exit code, answer or None, and errors."""
    image = tmp_path / "image.npy"
    np.save(image, tiny_task.test.images[0])

    def run(model):
        monkeypatch.setattr(sys, "argv", ["run.py", "--model", str(model), "--json", str(image)])
        code = device.main()
        told = capsys.readouterr()
        return code, json.loads(told.out) if told.out else None, told.err

    return run


def places(value, *path):
    """Returns where each value of a JSON document is."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, *path, key))]


def changed_at(document, place, value):
    """Returns a JSON text with another value at one place; the field is missing if it is `device.ABSENT`."""
    copy = json.loads(json.dumps(document))
    *parents, last = ("document", *place)
    holder = {"document": copy}
    target = functools.reduce(lambda node, key: node[key], parents, holder)
    if value is device.ABSENT:
        del target[last]
    else:
        target[last] = "DEEP" if value is DEEP else value
    return json.dumps(holder.get("document")).replace('"DEEP"', "[" * 10_000 + "]" * 10_000)


def wrong_values(place):
    """Returns what to put at a place of a description: less where nobody reads it."""
    is_read = not place or any(name.split(".")[0] == place[0] for name in (*device.FIELDS, *device.FOLDER_FIELDS))
    return WRONG if is_read or place[0] == "early_exit" else WRONG[:1]


DEEP = object()
WRONG = [None, True, -1, 1.5, 10**400, float("nan"), float("inf"), "x\0\x1b", [], {}, [[]], DEEP, device.ABSENT]


def described_as(model, text):
    """Returns a model with another description, and with the seal that belongs to it."""
    with io.BytesIO(model[: model.index(b"PK\x03\x04")]) as content:
        content.seek(0, io.SEEK_END)
        with zipfile.ZipFile(content, "a") as archive:
            archive.writestr("metadata.json", text)
            archive.comment = device.SEAL + bytes(device.HASH_LENGTH)
        sealed = content.getvalue()[: -device.HASH_LENGTH]
    return sealed + hashlib.sha256(sealed).hexdigest().encode()


def test_wrong_json_in_a_model_is_named_or_does_no_harm(single, run_program, tmp_path):
    description, (model,) = read_bundle(single)
    _, expected, _ = run_program(single)
    changed, outcomes = tmp_path / "changed.tflite", set()
    for place in places(description):
        for value in wrong_values(place):
            if place[:1] == ("classes",) and len(place) == 2 and isinstance(value, str):
                continue  # a name like another
            changed.write_bytes(described_as(model, changed_at(description, place, value)))
            code, answer, errors = run_program(changed)
            outcomes.add(code)
            assert code == 0 or (code, answer, errors.count("\n")) == (2, None, 1), (place, value)
            assert answer == expected if code == 0 else "changed.tflite' must" in errors, (place, value)
    assert outcomes == {0, 2}


def test_wrong_json_in_a_folder_is_named_or_does_no_harm(bundle, run_program, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "out")
    description = json.loads((folder / "metadata.json").read_text())
    _, expected, _ = run_program(folder)
    for place in places(description):
        for value in wrong_values(place):
            (folder / "metadata.json").write_text(changed_at(description, place, value))
            code, answer, errors = run_program(folder)
            assert code == 0 or (code, answer, errors.count("\n")) == (2, None, 1), (place, value)
            assert answer == expected if code == 0 else f"{folder}" in errors, (place, value)


@pytest.mark.parametrize("name", ["stage_0.tflite", "stage_2.tflite", "metadata.json"])
def test_damaged_folder_is_refused_or_answers_as_before(name, bundle, run_program, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "out")
    content = (folder / name).read_bytes()
    _, expected, _ = run_program(folder)
    generator = np.random.default_rng(0)
    for number in range(120):
        damaged, position = bytearray(content), int(generator.integers(len(content)))
        if number % 3 == 0:
            damaged[position] ^= 1 << int(generator.integers(8))
        elif number % 3 == 1:
            damaged[position : position + 64] = bytes(64)
        else:
            del damaged[position:]
        (folder / name).write_bytes(damaged)
        code, answer, errors = run_program(folder)
        assert code == 0 or (code, answer, errors.count("\n")) == (2, None, 1), (number, position)
        assert answer == expected if code == 0 else f"{folder}" in errors, (number, position)


def test_damaged_file_is_refused(single, run_program, tmp_path):
    content, path = single.read_bytes(), tmp_path / "damaged.tflite"
    generator = np.random.default_rng(0)
    for position in generator.integers(len(content), size=200):
        for damaged in (
            content[:position] + bytes([content[position] ^ 1 << int(generator.integers(8))]) + content[position + 1 :],
            content[:position],
            content[:position] + b"\x55" * 64 + content[position + 64 :],
        ):
            path.write_bytes(damaged)
            code, answer, errors = run_program(path)
            is_mark = content[-77:-64] != damaged[-77:-64]  # all that was damaged is what says that there is a hash
            assert (code, answer, errors.count("\n")) == (2, None, 1) or (is_mark and code == 0), position
            assert code == 0 or "damaged.tflite' must be" in errors


def test_models_that_read_or_give_other_than_described_are_refused(single, run_program, tmp_path):
    description, (model,) = read_bundle(single)
    changed = tmp_path / "changed.tflite"
    for change, message in (
        ({"classes": ["a", "b"]}, "must give `probabilities` of 2 classes"),
        ({"classes": ["a"] * 1_000_000}, "must give `probabilities` of 1000000 classes"),
        ({"input": {"shape": [8, 16, 3], "dtype": "uint8"}}, "must read"),
        ({"input": {"shape": [2**20, 2**20, 3], "dtype": "uint8"}}, "must hold height, width and channels of at most"),
    ):
        changed.write_bytes(described_as(model, json.dumps({**description, **change})))
        code, answer, errors = run_program(changed)
        assert (code, answer) == (2, None)
        assert message in errors
    changed.write_bytes(
        described_as(model, json.dumps({**description, "input": {"shape": [16384, 16384, 1], "dtype": "uint8"}}))
    )
    with pytest.raises(ValueError, match=r"`path` must hold a model of images of shape \[16384, 16384, 1\]"):
        benchmark(changed)


def test_threads_are_at_most_as_many_as_cores(single, tmp_path):
    cores = os.cpu_count()
    image = tmp_path / "image.npy"
    np.save(image, np.zeros((8, 8, 3), np.uint8))
    for program, arguments in (("run.py", [image]), ("benchmark.py", ["--runs", "2"])):
        done = execute(program, "--model", single, "--threads", "100000", *arguments)
        assert done.returncode == 0
        assert done.stderr.startswith(f"using {cores} thread(s), as many as there are cores, not 100000\n")
    assert f"2 runs on {cores} thread(s)" in done.stdout
    assert benchmark(single, num_threads=100_000)["num_threads"] == cores
    assert device.usable_threads(1) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
@pytest.mark.parametrize("name", ["pipe.npy", "pipe.ppm", "pipe.png", "pipe.tflite"])
def test_pipes_are_not_waited_for(name, single, tmp_path):
    pipe = tmp_path / name
    os.mkfifo(pipe)
    model = pipe if name == "pipe.tflite" else single
    with pytest.raises(ValueError, match=f"{name}' must be a file, but is a folder, a pipe or a device"):
        device.read_image(pipe) if model is single else device.Classifier(pipe)
    with pytest.raises(ValueError, match="must be a file, but is a folder, a pipe or a device"):
        read_bundle(pipe)
    with pytest.raises(ValueError, match="must be a file, but is a folder, a pipe or a device"):
        open_interpreter(pipe)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
@pytest.mark.parametrize("name", ["stage_1.tflite", "metadata.json"])
def test_pipes_in_a_folder_are_not_waited_for(name, bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "out")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ValueError, match=f"{name}' must be a file, but is a folder, a pipe or a device"):
        device.Classifier(folder)


def test_images_that_would_fill_the_memory_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    def png(width, height):
        chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        pixels = struct.pack(">I4s", 1000, b"IDAT")
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + pixels

    Image.init()
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("it was decoded"))
    for name, content in (
        ("a.png", png(13_000, 13_000)),
        ("b.png", png(80_000, 2)),
        ("c.ppm", b"P6 13000 13000 255\n"),
        ("d.pgm", b"P5 2 80000 255\n"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}' must be an image, .*(too many|exceeds limit)"):
            device.read_image(tmp_path / name)
    np.save(tmp_path / "e.npy", np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (80_000, 1), (0, 0)))
    with pytest.raises(ValueError, match=r"e.npy' must be an image, .*too many"):
        device.read_image(tmp_path / "e.npy")


def test_large_photographs_are_resized_in_bands():
    image = np.random.default_rng(0).integers(0, 256, (700, 300, 3), np.uint8)
    expected = resize(image[np.newaxis], (32, 32))[0]
    np.testing.assert_allclose(device.resized(image, (32, 32)), expected.astype(np.float32), atol=1)


def test_description_that_would_fill_the_memory_is_refused(single, tmp_path, monkeypatch):
    description, (model,) = read_bundle(single)
    monkeypatch.setattr(device, "MAX_DESCRIPTION_BYTES", 10_000)
    path = tmp_path / "bomb.tflite"
    path.write_bytes(described_as(model, json.dumps({**description, "task": "x" * 1_000_000})))
    with pytest.raises(ValueError, match=r"bomb.tflite' must hold a description that `kgrow export` wrote"):
        device.read_model(path)
    (tmp_path / "metadata.json").write_bytes(b" " * 10_001)
    with pytest.raises(ValueError, match=r"metadata.json' must have at most 10000 bytes"):
        device.read_model(tmp_path)


def test_names_do_not_command_the_terminal(single, tmp_path):
    description, (model,) = read_bundle(single)
    evil = "\x1b[31mred\x9b2J\u202e\x07"
    path = tmp_path / "model.tflite"
    path.write_bytes(described_as(model, json.dumps({**description, "classes": [evil] * 3})))
    image = tmp_path / "\x1b]0;image.npy"
    np.save(image, np.zeros((8, 8, 3), np.uint8))
    done = execute("run.py", "--model", path, image, tmp_path / "\x1b[2Jmissing.npy")
    assert done.returncode == 1
    assert "\\x1b]0;image.npy: \\x1b[31mred\\x9b2J\\u202e\\x07 (" in done.stdout
    assert "missing.npy" in done.stderr
    assert all(char.isprintable() for char in (done.stdout + done.stderr).replace("\n", ""))


@pytest.fixture
def photos(tiny_task, tmp_path):
    """A folder with images in it and below, one of them bad, and files that are none."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for name, image in zip(("b.png", "more/c.JPG", "a.ppm", ".hidden/d.png"), tiny_task.test.images, strict=False):
        Image.fromarray(image).save(folder / name)
    (folder / "more" / "bad.png").write_bytes(b"no image")
    np.save(folder / "sound.npy", np.zeros(8))
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_a_folder_stands_for_its_images_and_bad_ones_are_named(single, photos):
    done = execute("run.py", "--model", single, photos)
    assert done.returncode == 1
    answered = [os.path.relpath(line.split(": ")[0], photos) for line in done.stdout.splitlines()]
    assert answered == ["a.ppm", "b.png", os.path.join("more", "c.JPG")]
    told = [line for line in done.stderr.splitlines() if "INFO" not in line]  # of the interpreter
    assert len(told) == 3
    assert "left out 1 file(s) of" in told[0]
    assert "sound.npy' cannot be classified: `image` must be an array (height, width, channels)" in told[1]
    assert "bad.png' must be an image, but cannot be read" in told[2]


def test_links_to_folders_are_named_and_not_followed(photos):
    (photos / "again").symlink_to(photos, target_is_directory=True)
    files, errors = device.image_files(photos)
    assert len(files) == 5
    (error,) = errors
    assert "again' is a link to a folder, which is not followed" in str(error)


def test_images_after_a_bad_one_are_answered(single, photos):
    images = [photos / name for name in ("a.ppm", "missing.png", "sound.npy", "more/bad.png", "b.png")]
    done = execute("run.py", "--model", single, "--json", *images)
    assert done.returncode == 1
    assert [json.loads(line)["image"] for line in done.stdout.splitlines()] == [str(images[0]), str(images[-1])]
    told = [line for line in done.stderr.splitlines() if "INFO" not in line]  # of the interpreter
    for image, line in zip(images[1:4], told, strict=True):
        assert str(image) in line
    assert execute("run.py", "--model", single, images[0], images[-1]).returncode == 0


def test_a_folder_without_images_is_an_error(single, tmp_path):
    (tmp_path / "empty").mkdir()
    done = execute("run.py", "--model", single, tmp_path / "empty")
    assert (done.returncode, done.stdout) == (1, "")
    assert "empty' must hold images" in done.stderr


def test_most_probable_classes_are_told_in_order(single, photos):
    image = photos / "a.ppm"
    (line,) = execute("run.py", "--model", single, "--top", "2", image).stdout.splitlines()
    first, second = re.findall(r"(\w+) \((.*?) %\)", line)
    assert float(first[1]) >= float(second[1])
    answer = json.loads(execute("run.py", "--model", single, "--json", "--top", "99", image).stdout)
    assert {entry["label"] for entry in answer["top"]} == {"red", "green", "blue"}
    assert [entry["label"] for entry in answer["top"][:2]] == [first[0], second[0]]
    assert answer["top"][0] == {"label": answer["label"], "probability": answer["probability"]}
    probabilities = [entry["probability"] for entry in answer["top"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert "top" not in json.loads(execute("run.py", "--model", single, "--json", image).stdout)
    done = execute("run.py", "--model", single, "--top", "0", image)
    assert (done.returncode, done.stdout) == (2, "")
    assert "argument --top: must be 1 or more, but is 0" in done.stderr


@pytest.fixture(scope="module")
def floats(tiny_network, tiny_task, tmp_path_factory):
    """The network of `single`, exported with images of floats in [0, 1]."""

    def divided(split):
        return Split((split.images / np.float32(255)).astype(np.float32), split.labels)

    splits = {role: divided(getattr(tiny_task, role)) for role in ("train", "validation", "test")}
    path = tmp_path_factory.mktemp("bundle") / "model.tflite"
    export(tiny_network, dataclasses.replace(tiny_task, **splits), path)
    return path


def test_description_tells_the_range_of_pixels(single, floats, digits, tiny_task):
    assert device.read_model(single)[0]["input"]["range"] == [0, 255]
    assert device.read_model(floats)[0]["input"]["range"] == [0, 1]
    assert digits.pixel_range == (0, 16)
    assert tiny_task.pixel_range == (0, 255)


def test_files_are_scaled_to_the_range_of_training(single, floats, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    (tmp_path / "image.ppm").write_bytes(b"P6 8 8 255\n" + pixels.tobytes())
    np.save(tmp_path / "image.npy", pixels)
    for name in ("image.png", "image.ppm", "image.npy"):
        same = device.Classifier(single).read(tmp_path / name)
        assert same.dtype == np.uint8
        np.testing.assert_array_equal(same, pixels)
        expected = pixels if name == "image.npy" else pixels / 255
        np.testing.assert_allclose(device.Classifier(floats).read(tmp_path / name), expected, rtol=1e-6)
    assert "pixels reach" not in execute("run.py", "--model", floats, tmp_path / "image.png").stderr
    assert "pixels reach" not in execute("benchmark.py", "--model", floats, "--runs", "2").stderr


def test_scaled_digits_are_whole_numbers_again(single):
    classifier = device.Classifier(single)
    classifier.range = (0.0, 16.0)
    np.testing.assert_array_equal(
        classifier.prepare(classifier.scaled(np.full((8, 8, 3), 191, np.uint8))), np.full((1, 8, 8, 3), 12)
    )


@pytest.mark.parametrize(
    ("pixel_range", "pixels", "is_far"),
    [
        ((0, 255), (0, 1), True),
        ((0, 255), (-1, 1), True),
        ((0, 255), (0, 0), False),
        ((0, 255), (0, 30), False),
        ((0, 255), (0, 65535), True),
        ((0, 16), (0, 255), True),
        ((0, 16), (0, 15), False),
        ((0, 1), (0, 255), True),
        ((-1, 1), (0, 1), False),
        ((-2.1, 2.6), (0, 1), False),
    ],
)
def test_pixels_of_another_range_are_told_once(pixel_range, pixels, is_far, single, capsys):
    classifier = device.Classifier(single)
    classifier.range = pixel_range
    image = np.resize(np.array(pixels, np.float32), (8, 8, 3))
    for _ in range(2):
        classifier(image)
    assert capsys.readouterr().err.count("pixels reach from") == is_far


def test_model_without_a_range_reads_bytes(single, monkeypatch, capsys):
    metadata, models = device.read_model(single)
    del metadata["input"]["range"]
    monkeypatch.setattr(device, "read_model", lambda path: (metadata, models))
    classifier = device.Classifier(single)
    assert classifier.range == (0, 255)
    classifier(np.eye(8))
    assert not capsys.readouterr().err


def test_truth_values_are_pixels(single, capsys):
    device.Classifier(single)(np.eye(8, dtype=bool))
    assert "pixels reach from 0 to 1, but" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["run.py", "benchmark.py"])
def test_reader_that_has_gone_is_no_error_to_speak_of(program, single, tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((8, 8, 3), np.uint8))
    arguments = {"run.py": [tmp_path / "image.npy"], "benchmark.py": ["--runs", "2"]}[program]
    command = [sys.executable, PROGRAMS / program, "--model", single, "--json", *arguments]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 1
    assert "Error" not in done.stderr
