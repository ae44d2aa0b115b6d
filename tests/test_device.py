"""Exported models where neither kgrow nor TensorFlow is installed: a real environment per interpreter."""

import itertools
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

import kgrow
from kgrow.exporting import EXPORTERS, classify, cut
from kgrow.exporting.assembly import schema
from kgrow.exporting.memory_plan import with_plan
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import ExitRule
from kgrow.searching import SPACES

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

# Programs for a device: the first runs every file once, the second says which of them loads.
RUN = """
import json, pathlib, sys
import numpy as np
from {package}.interpreter import Interpreter
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tflite")):
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    for tensor in interpreter.get_input_details():
        interpreter.set_tensor(tensor["index"], np.ones(tensor["shape"], tensor["dtype"]))
    interpreter.invoke()
    for tensor in interpreter.get_output_details():
        assert np.isfinite(interpreter.get_tensor(tensor["index"]).astype(float)).all(), path
    print(path.name)
"""
LOAD = """
import pathlib, sys
from {package}.interpreter import Interpreter
for path in pathlib.Path(sys.argv[1]).glob("*.tflite"):
    try:
        Interpreter(str(path))
        print(path.stem)
    except ValueError:
        pass
"""
TABLE = Path(__file__).parent / "exporting" / "tflite_runtime_2_14.json"
MOST_VERSIONS = 16


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
    return kgrow.search("digits", epochs=8, pruning={"keep_ratio": 0.5}, directory=folder, verbose=0)


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


ROUNDING_STEPS = 4  # of a logit: kernels of tflite_runtime round 8 bits otherwise, by up to three steps in these files


def decided_beyond_rounding(file, images):
    """Returns which images have a best class that another way to round cannot change, and that class."""
    logits = classify(file, images)
    values = np.unique(logits)
    first, second = np.sort(logits, axis=-1)[:, :-3:-1].T
    return first - second > ROUNDING_STEPS * np.diff(values).min(), logits.argmax(axis=-1)


@pytest.mark.parametrize("name", EXPORTS)
def test_accuracy_on_the_device_is_the_one_reported(name, device_python, exported, tmp_path):
    python, interpreter = device_python
    folder, artefacts = exported
    images, labels, expected_accuracy = folder / "images.npy", folder / "labels.npy", artefacts[name].test_accuracy
    if interpreter == "tflite_runtime" and name == "plain":
        # Ties fall as they are rounded; every other image must be answered as here.
        all_images, all_labels = np.load(images), np.load(labels)
        clear, answers = decided_beyond_rounding(Path(artefacts[name].path) / "model.tflite", all_images)
        assert clear.mean() > 0.9
        images, labels = tmp_path / "images.npy", tmp_path / "labels.npy"
        np.save(images, all_images[clear])
        np.save(labels, all_labels[clear])
        expected_accuracy = float(np.mean(answers[clear] == all_labels[clear]))
    command = [python, DEVICE_SIDE / "benchmark.py", "--model", artefacts[name].path, "--json"]
    command += ["--images", images, "--labels", labels]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    # The kernels of tflite_runtime round 8 bits otherwise: a confidence at the threshold may fall on its other side.
    may_differ = 1.01 / 359 if interpreter == "tflite_runtime" and artefacts[name].early_exit else 1e-9
    assert report["accuracy"] == pytest.approx(expected_accuracy, abs=may_differ)
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


def every_format_of(space):
    """Yields the name and content of every kind of file of an untrained network."""
    architecture = SPACES[space].build((16, 16, 3), 64, width=0.5)
    network, heads = GrowingNetwork(architecture), tuple(range(len(architecture.blocks)))
    images = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), np.uint8)
    for quantization, exporter in EXPORTERS.items():
        converted = exporter.convert(network, heads, "uint8", images)
        yield quantization, cut.one_head(converted, heads[-1])
        if quantization != "float16":  # refused: tflite_runtime 2.14 answers such files wrongly
            yield f"{quantization}_exits", cut.early_exits(converted, heads, ExitRule(0.5))
            yield from ((f"{quantization}_{n}", stage) for n, stage in enumerate(cut.stage_files(converted, heads)))


@pytest.fixture(scope="module")
def every_format(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    for space in SPACES:
        for name, model in every_format_of(space):
            (folder / f"{space}_{name}.tflite").write_bytes(with_plan(model))
    return folder


def run_on_device(device_python, program, folder):
    python, package = device_python
    command = [python, "-c", program.format(package=package), folder]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_every_format_of_every_space_runs(device_python, every_format):
    assert run_on_device(device_python, RUN, every_format) == sorted(path.name for path in every_format.iterdir())


def test_table_of_operations_is_what_the_oldest_interpreter_says(device_python, make_empty_model, tmp_path):
    if device_python[1] != "tflite_runtime":
        pytest.skip("the table is of tflite-runtime 2.14, the oldest interpreter that is promised")
    for name, version in itertools.product(vars(schema.BuiltinOperator), range(1, MOST_VERSIONS)):
        if name.isupper():
            (tmp_path / f"{name}.{version}.tflite").write_bytes(make_empty_model(name, version))
    known = {}
    for name, version in (stem.split(".") for stem in run_on_device(device_python, LOAD, tmp_path)):
        known[name] = max(known.get(name, 0), int(version))
    assert json.loads(TABLE.read_text()) == known
