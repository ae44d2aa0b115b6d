"""Files of both Keras, written by the libraries themselves, are read as they compute; nothing in them is run."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kgrow._keras import keras, tf
from kgrow.graph.keras_models import from_keras
from kgrow.models.files import check_model_path, described_file, sha256_of
from kgrow.models.opened import opened

WRITER = Path(__file__).with_name("write_models.py")
LIBRARIES = {"tf_keras": (".keras", ".h5", "_saved"), "keras": (".keras", ".h5")}


def write(library, folder, *names):
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "0", "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, str(WRITER), library, str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module", params=LIBRARIES)
def written(request, tmp_path_factory):
    """The folder of files that a library wrote, and the library's name."""
    return write(request.param, tmp_path_factory.mktemp(request.param), "everything", "chain"), request.param


def check_answers(folder, name, form):
    model, notes = opened(folder / f"{name}{form}")
    saved = np.load(folder / f"{name}.npz")
    images = tf.image.resize(saved["images"], model.input_shape[1:3])
    np.testing.assert_allclose(model(images, training=False), saved["answers"], rtol=1e-4, atol=1e-5)
    return model, notes


@pytest.mark.parametrize("name", ["everything", "chain"])
def test_model_of_a_file_answers_as_it_did_in_its_library(name, written):
    folder, library = written
    digests = set()
    for form in LIBRARIES[library]:
        model, notes = check_answers(folder, name, form)
        assert all(type(layer).__module__.startswith("tf_keras") for layer in model.layers)
        digests.add(sha256_of(folder / f"{name}{form}"))
        if name == "everything":
            kinds = [type(layer).__name__ for layer in model.layers]
            assert not {"Sequential", "RandomFlip", "GaussianNoise", "Resizing", "TFOpLambda"} & set(kinds)
            functions = [getattr(layer, "activation", None) for layer in model.layers]
            assert "hard_swish" in [getattr(function, "__name__", "") for function in functions]
            assert "RandomFlip, RandomRotation of the model are left out" in notes[0]
            assert notes[1] == "the model resizes images to 16x16; the network reads images of that size"
            assert any(getattr(layer, "kernel_regularizer", None) for layer in model.layers)
    assert len(digests) == len(LIBRARIES[library])


def test_model_of_a_file_is_an_architecture_that_computes_the_same(written, tmp_path):
    from kgrow.compressing.reading import network_of

    folder, _ = written
    model, _ = opened(folder / "everything.keras")
    given = from_keras(model, model.get_config(), model.input_shape[1:])
    images = tf.image.resize(np.load(folder / "everything.npz")["images"], (16, 16)).numpy()
    answers = tf.nn.softmax(network_of(given).logits(images)[0])
    np.testing.assert_allclose(answers, model(images, training=False), rtol=1e-4, atol=1e-5)
    assert "hard_swish" in json.dumps(given.weighted.architecture.to_json())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3", "efficientnet"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_published_networks_inside_ones_own_are_read(library, name, tmp_path):
    write(library, tmp_path, name)
    for form in (".keras", ".h5"):
        check_answers(tmp_path, name, form)


# What is refused


L = keras.layers


def saved(tmp_path, *middle, **options):
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((8, 8, 3)), *middle, L.Flatten(), L.Dense(3)]).save(path, **options)
    return path


class Shrug(L.Layer):
    def call(self, features):
        raise AssertionError("code of a model was run")


@keras.saving.register_keras_serializable("mine")
class Nod(L.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.built = True

    def call(self, features):
        return features


def test_layers_of_ones_own_are_named_and_not_run(tmp_path):
    with pytest.raises(
        ValueError, match=r"layers of Keras, but its layer 'Nod' is Nod of tests.*, whose code is not read"
    ):
        opened(saved(tmp_path, Nod(name="nod")))


def test_lambda_is_named_and_not_run(tmp_path):
    path = saved(tmp_path, L.Lambda(lambda features: features * 2, name="code"))
    with pytest.raises(ValueError, match=r"its layer 'code' is a Lambda\. Supported are .*Conv2D"):
        opened(path)


def rewritten(path, change):
    """Writes the configuration of a `.keras` file anew."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else content)
    return path


def evil(config):
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Dense":
            layer["config"]["activation"] = {"module": "os", "class_name": "system", "config": "touch evil"}


def initialized(config):
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Dense":
            start = {"module": "subprocess", "class_name": "Popen", "config": {"args": "evil"}, "registered_name": "x"}
            layer["config"]["kernel_initializer"] = start


def test_nothing_that_a_configuration_names_is_imported(tmp_path):
    path = saved(tmp_path)
    with pytest.raises(ValueError, match=r"plain options, but `activation` of its layer 'dense.*' \(Dense\) is system"):
        opened(rewritten(path, evil))
    expected = opened(saved(tmp_path))[0](np.ones((1, 8, 8, 3)))
    made, _ = opened(rewritten(path, initialized))
    np.testing.assert_allclose(made(np.ones((1, 8, 8, 3))), expected)


def looping(config):
    first, second = config["config"]["layers"][1:3]
    first["inbound_nodes"] = [[[second["name"], 0, 0, {}]]]


def test_layers_that_read_each_other_are_refused(tmp_path):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, L.Dense(3)(L.Flatten()(L.ReLU()(image))))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="connect its layers without a circle"):
        opened(rewritten(tmp_path / "model.keras", looping))


def narrower(config):
    config["config"]["layers"][-1]["config"]["units"] = 7


def test_weights_of_other_shapes_are_named_with_the_layer(tmp_path):
    with pytest.raises(ValueError, match=r"layers that fit, but its layer 'dense.*' \(Dense\) does not"):
        opened(rewritten(saved(tmp_path), narrower))


def test_layer_that_trains_on_in_inference_is_named(tmp_path):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, L.Dense(3)(L.Flatten()(L.Dropout(0.5, name="always")(image, training=True))))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="calls 'always' with `training=True`"):
        opened(tmp_path / "model.keras")


def test_names_that_keras_2_does_not_take_and_names_that_become_equal_are_changed(tmp_path):
    def rename(config):
        layers = config["config"]["layers"]
        for layer, name in zip(layers[1:], ("é ü", "first conv", "first_conv"), strict=True):
            layer["config"]["name"] = name

    path = saved(tmp_path, L.ReLU())
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    expected = opened(path)[0](images)
    renamed, _ = opened(rewritten(path, rename))
    assert len({layer.name for layer in renamed.layers}) == len(renamed.layers)
    np.testing.assert_allclose(renamed(images), expected)


def test_layer_that_reads_itself_is_told_as_one_that_is_called_twice(tmp_path):
    image, shared = keras.Input((8, 8, 3)), L.Conv2D(3, 3, padding="same", name="shared")
    keras.Model(image, L.Dense(3)(L.Flatten()(shared(shared(image))))).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="calls 'shared' 2 times"):
        opened(tmp_path / "model.keras")


def test_activation_that_keras_2_does_not_know_is_named_with_its_layer(tmp_path):
    def other(config):
        config["config"]["layers"][-1]["config"]["activation"] = "celu"

    with pytest.raises(ValueError, match=r"its layer 'dense.*' \(Dense\) cannot: Unknown activation function"):
        opened(rewritten(saved(tmp_path), other))


def test_files_that_hold_no_model_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="`model` must be a file or a directory, but there is none"):
        check_model_path(tmp_path / "none.keras")
    (tmp_path / "text.h5").write_text("no model")
    with pytest.raises(ValueError, match=r"must be a \.keras or \.h5 file of Keras, or the directory of a SavedModel"):
        opened(tmp_path / "text.h5")
    with pytest.raises(ValueError, match=r"has no keras_metadata\.pb: .* Save it as a \.keras file"):
        opened(tmp_path)
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("photo.png", b"")
    with pytest.raises(ValueError, match=r"but .*other\.keras has no config\.json"):
        opened(tmp_path / "other.keras")
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="`model` must be"):
        opened(path)


def test_weights_alone_are_no_model(tmp_path):
    import h5py

    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file["layer/kernel"] = np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"whole model, but .* has weights only\. Save it with `model\.save`"):
        opened(tmp_path / "model.weights.h5")


def test_arrays_that_a_file_only_promises_are_bounded(tmp_path):
    import h5py

    path = saved(tmp_path)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    variables = io.BytesIO()
    with h5py.File(variables, "w") as file:
        file.create_dataset("layers/dense/vars/0", (2**30, 4), "f4")  # unwritten, so it takes no bytes
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", variables.getvalue())
    with pytest.raises(ValueError, match="its arrays are larger than"):
        opened(path)


@pytest.mark.parametrize("way", ["external", "link", "soft", "virtual"])
def test_weights_that_are_in_another_file_are_not_read(way, tmp_path):
    """Else a model that somebody sent could carry any file of this machine away."""
    import h5py

    (tmp_path / "secret").write_bytes(b"\0" * 4096)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kernel"] = np.zeros((192, 3), np.float32)
    variables = io.BytesIO()
    with h5py.File(variables, "w") as file:
        place = file.create_group("layers/dense/vars")
        if way == "external":
            place.create_dataset("0", (192, 3), "f4", external=[(str(tmp_path / "secret"), 0, 2304)])
        elif way == "link":
            place["0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "kernel")
        elif way == "soft":
            place["0"] = h5py.SoftLink("/elsewhere")
        else:
            layout = h5py.VirtualLayout((192, 3), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "kernel", (192, 3))
            place.create_virtual_dataset("0", layout)
    path = saved(tmp_path)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", variables.getvalue())
    with pytest.raises(ValueError, match="its part 'layers/dense/vars/0' is elsewhere"):
        opened(path)


def test_exported_model_without_layers_is_told_apart(written):
    folder, library = written
    if library == "keras":
        with pytest.raises(ValueError, match=r"such as one of `model\.export`, has operations and no layers"):
            described_file(folder / "exported")
