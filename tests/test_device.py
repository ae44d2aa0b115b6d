"""Exported models where neither kgrow nor TensorFlow is installed: a real environment per interpreter."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

import kgrow

pytestmark = pytest.mark.slow

DEVICE_SIDE = Path(__file__).parents[1] / "export"
INTERPRETERS = {
    "tflite_runtime": ["tflite-runtime==2.14.0", "numpy<2"],
    "ai_edge_litert": ["ai-edge-litert"],
}
EXPORTS = {
    "plain": {"quantize": "int8"},
    "exits": {"quantize": "int8", "early_exit": True},
    "stages": {"quantize": "int8", "early_exit": kgrow.EarlyExit(threshold=0.8, stages=True)},
    "float exits": {"early_exit": True},
    "float pixels": {"quantize": "int8", "early_exit": True, "input_dtype": "float32"},
}


@pytest.fixture(scope="module", params=INTERPRETERS)
def device_python(request, tmp_path_factory):
    """The Python of an environment with an interpreter and NumPy, nothing else."""
    if request.param == "tflite_runtime" and (sys.version_info >= (3, 12) or sys.platform != "linux"):
        pytest.skip("tflite-runtime 2.14 has wheels for Linux and Python up to 3.11")
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *INTERPRETERS[request.param]], check=True)
    return python, request.param


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return kgrow.search("digits", epochs=8, keep_ratio=0.5, directory=folder, verbose=0)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    np.save(folder / "images.npy", trained.task.test.images)
    np.save(folder / "labels.npy", trained.task.test.labels)
    artefacts = {name: trained.export(folder / name.replace(" ", "_"), **options) for name, options in EXPORTS.items()}
    return folder, artefacts


def test_environment_has_neither_kgrow_nor_tensorflow(device_python, tmp_path):
    python, _ = device_python
    for package in ("kgrow", "tensorflow"):
        assert subprocess.run([python, "-c", f"import {package}"], cwd=tmp_path, capture_output=True).returncode


@pytest.mark.parametrize("name", EXPORTS)
def test_accuracy_on_the_device_is_the_one_reported(name, device_python, exported, tmp_path):
    python, interpreter = device_python
    folder, artefacts = exported
    command = [python, DEVICE_SIDE / "benchmark.py", "--model", artefacts[name].path, "--json"]
    command += ["--images", folder / "images.npy", "--labels", folder / "labels.npy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    # The kernels of tflite_runtime round 8 bits otherwise: a confidence at the threshold may fall on its other side.
    may_differ = 1.01 / 359 if interpreter == "tflite_runtime" and artefacts[name].early_exit else 1e-9
    assert report["accuracy"] == pytest.approx(artefacts[name].test_accuracy, abs=may_differ)
    assert report["runtime"] == interpreter
    assert os.name == "nt" or report["peak_rss_bytes"] > 1e7
    if artefacts[name].early_exit:
        fractions = {exit["exit_index"]: exit["fraction"] for exit in report["exits"]}
        expected = dict(enumerate(artefacts[name].early_exit["exits"]))
        assert fractions == pytest.approx({head: part for head, part in expected.items() if part}, abs=0.01)


def test_run_classifies_in_the_bundle_itself(device_python, exported, tmp_path):
    python, _ = device_python
    folder, artefacts = exported
    np.save(tmp_path / "image.npy", np.load(folder / "images.npy")[0])
    command = [python, Path(artefacts["exits"].path) / "run.py", "--json", tmp_path / "image.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["label"] in [str(digit) for digit in range(10)]


def test_missing_interpreter_is_named(exported, tmp_path):
    _, artefacts = exported
    script = f"{artefacts['plain'].path}/run.py"
    hide = "sys.modules['ai_edge_litert'] = sys.modules['tflite_runtime'] = None"
    code = (
        f"import runpy, sys; {hide}; sys.argv = ['run.py', 'x.npy']; runpy.run_path(r'{script}', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install ai-edge-litert" in done.stderr
