"""`export/run.py` and `export/benchmark.py`, in this Python: what they read, and what they say of what they cannot."""

import dataclasses
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from kgrow_device import run as device
from PIL import Image

from kgrow.exporting import EarlyExit, ExportOptions, export
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
