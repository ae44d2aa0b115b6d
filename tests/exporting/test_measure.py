import gzip
import sys
import types

import numpy as np
import pytest

from kgrow.exporting import EXPORTERS, classify, cut, measure, runtime_name
from kgrow.exporting.measure import gzip_size, open_interpreter, operators


@pytest.fixture(scope="module")
def model(tiny_network):
    return cut.one_head(EXPORTERS["float32"].convert(tiny_network, (1,)), 1)


@pytest.fixture
def without(monkeypatch):
    """Hides interpreters, and forgets afterwards which one was found."""

    def hide(*packages):
        for package in packages:
            monkeypatch.setitem(sys.modules, f"{package}.interpreter", None)
        measure._runtime.cache_clear()

    yield hide
    measure._runtime.cache_clear()


def test_classify_runs_every_image_from_bytes_or_path(model, tiny_network, tiny_task, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    logits = classify(model, tiny_task.test.images)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, tiny_network.logits(tiny_task.test.images)[-1], atol=1e-4)
    np.testing.assert_array_equal(classify(str(path), tiny_task.test.images), logits)


@pytest.mark.parametrize("fault", ["dtype", "size", "none"])
def test_images_that_the_model_does_not_read_are_an_error(fault, model, tiny_task):
    images = tiny_task.test.images
    wrong = {"dtype": images.astype(np.float32), "size": images[:, :4], "none": images[:0]}[fault]
    with pytest.raises(ValueError, match=r"`images` must be .* \(8, 8, 3\) and type uint8"):
        classify(model, wrong)


@pytest.mark.parametrize("damage", [lambda m: m[: len(m) // 2], lambda m: b"", lambda m: b"no model" * 100])
def test_damaged_model_is_an_error(damage, model, tiny_task, tmp_path):
    path = tmp_path / "damaged.tflite"
    path.write_bytes(damage(model))
    for damaged in (path, damage(model)):
        with pytest.raises(
            ValueError, match=r"`model` must be a whole TensorFlow Lite model, but got .*(damaged|bytes)"
        ):
            classify(damaged, tiny_task.test.images)


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_interpreter(tmp_path / "missing.tflite")


def test_interpreter_prints_nothing(model, tiny_task, capfd):
    classify(model, tiny_task.test.images[:1])
    assert capfd.readouterr() == ("", "")


def test_operators_leave_out_what_a_delegate_adds(model):
    assert operators(model).count("CONV_2D") == 2
    assert "DELEGATE" not in operators(model)


def test_litert_is_preferred():
    assert runtime_name().startswith("ai_edge_litert ")


def test_tensorflow_is_the_last_choice_and_warns_of_nothing(without, model, tiny_task, capfd):
    logits = classify(model, tiny_task.test.images)
    without("ai_edge_litert", "tflite_runtime")
    assert runtime_name().startswith("tensorflow ")
    np.testing.assert_allclose(classify(model, tiny_task.test.images), logits, atol=1e-5)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("numpy_version", "package"), [("1.26.4", "tflite_runtime"), ("2.4.6", "tensorflow")])
def test_tflite_runtime_is_used_where_it_runs(numpy_version, package, without, monkeypatch):
    without("ai_edge_litert")
    fake = types.SimpleNamespace(Interpreter=object)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", fake)
    monkeypatch.setattr(measure.np, "__version__", numpy_version)
    assert runtime_name().split()[0] == package


def test_gzip_size_is_that_of_gzip_9_and_repeatable(model):
    assert gzip_size(model) == gzip_size(model) == len(gzip.compress(model, 9))
    assert gzip_size(bytes(10_000)) < 100
