"""`export/run.py` and `export/benchmark.py`, in this Python: what they read, and what they say of what they cannot."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from kgrow_device import run as device

from kgrow.exporting import EarlyExit, ExportOptions, export
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
    content = bytearray(single.read_bytes())
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
