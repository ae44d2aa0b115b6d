"""Standard metadata: read by MediaPipe's own package, in an environment of its own."""

import io
import json
import os
import subprocess
import sys
import venv
import zipfile

import numpy as np
import pytest

from kgrow.exporting import EXPORTERS, EarlyExit, ExportOptions, cut, export
from kgrow.exporting.assembly import parse
from kgrow.exporting.bundle import self_describing
from kgrow.exporting.standard_metadata import IDENTIFIER, NAME
from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import softmax

CLASSES = ["red", "green", "blue"]
KINDS = [("int8", "uint8", "float32"), ("int8", "uint8", "uint8"), ("float32", "float32", "float32")]
CLASSIFY = """
import json, sys
import mediapipe as mp
import numpy as np
image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.load("image.npy"))
for path in sys.argv[1:]:
    options = mp.tasks.vision.ImageClassifierOptions(mp.tasks.BaseOptions(model_asset_path=path))
    with mp.tasks.vision.ImageClassifier.create_from_options(options) as classifier:
        heads = classifier.classify(image).classifications
        print(json.dumps([[head.head_name, {c.category_name: c.score for c in head.categories}] for head in heads]))
"""


def described(model, pixel_range=(0, 255)):
    shape = {"shape": [32, 32, 3], "range": list(pixel_range)}
    return self_describing(model, {"task": "colors", "classes": CLASSES, "input": shape})


@pytest.fixture(scope="module")
def network():
    block = CellBlock((Cell("conv", 4, stride=2),), Head(2))
    return GrowingNetwork(of_cells((32, 32, 3), 3, Scaling((128.0,) * 3, (64.0,) * 3), (block,)), seed=1)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def test_metadata_names_labels_and_outputs_and_its_zip_is_not_compressed(float_model):
    content = described(cut.one_head(float_model, 2))
    parsed = parse(content)
    (buffer,) = (entry.buffer for entry in parsed.metadata if entry.name == NAME)
    data = parsed.buffers[buffer].data.tobytes()
    assert data[4:8] == IDENTIFIER
    for word in (b"labels.txt", b"probabilities", b"logits", b"image"):
        assert word in data
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_single_output_is_proved_as_two_are(tiny_network, tiny_task, tmp_path):
    path = tmp_path / "strict.tflite"
    artefact = export(tiny_network, tiny_task, path, ExportOptions(single_output=True))
    (signature,) = parse(path.read_bytes()).signatureDefs
    assert [output.name for output in signature.outputs] == [b"probabilities"]
    assert len(parse(path.read_bytes()).subgraphs[0].outputs) == 1
    assert artefact.max_abs_diff < 1e-4
    with pytest.raises(ValueError, match="`single_output` must be False with early exits"):
        ExportOptions(single_output=True, early_exit=EarlyExit())


@pytest.mark.slow
def test_mediapipe_classifies_with_labels(network, image, tmp_path):
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    venv.create(tmp_path / "venv", with_pip=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "mediapipe"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mediapipe cannot be installed on Python {sys.version.split()[0]} here: {done.stderr[-200:]}")
    np.save(tmp_path / "image.npy", image)
    expected = dict(zip(CLASSES, softmax(network.logits(image[np.newaxis])[-1])[0], strict=True))
    paths = []
    for quantization, pixels, output in KINDS:
        converted = EXPORTERS[quantization].convert(network, (0,), pixels, np.stack([image] * 16))
        for single in (False, True):
            paths.append(tmp_path / f"{quantization}_{pixels}_{output}_{single}.tflite")
            paths[-1].write_bytes(described(cut.one_head(converted, 0, output, single)))
    command = [python, "-c", CLASSIFY, *paths]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        heads = json.loads(line)
        assert len(heads) == (1 if path.stem.endswith("True") else 2)
        name, scores = heads[0]
        assert name == "probabilities"
        assert scores == pytest.approx(expected, abs=0.05)
