"""Exporters of other packages that break their contract are named with their package."""

import numpy as np
import pytest

from kgrow._plugins import PluginError
from kgrow.exporting import ExportOptions, export
from kgrow.exporting.exporter import converted_by
from kgrow.registry import EXPORTERS

MODULE = """
from kgrow.exporting import Exporter
from kgrow.registry import EXPORTERS


class Plain(Exporter):
    def convert(self, network, exit_indices, input_dtype="uint8", representative_dataset=None):
        return EXPORTERS["float32"].convert(network, exit_indices, input_dtype)


class Garbled(Exporter):
    def convert(self, network, exit_indices, input_dtype="uint8", representative_dataset=None):
        return b"\\x1c\\0\\0\\0TFL3" + b"\\0" * 100


class First(Exporter):
    def convert(self, network, exit_indices, input_dtype="uint8", representative_dataset=None):
        return EXPORTERS["float32"].convert(network, (0,), input_dtype)


class Negative(Exporter):
    def convert(self, network, exit_indices, input_dtype="uint8", representative_dataset=None):
        other = network.copy()
        other.load_state({name: -value if name.endswith("/kernel") else value for name, value in other.state().items()})
        return EXPORTERS["float32"].convert(other, exit_indices, input_dtype)

    def stored(self, kernel):
        raise RuntimeError("not stored")


class Helpless(Negative):
    def stored(self, kernel):
        return -kernel

    @property
    def remedy(self):
        raise RuntimeError("no remedy")
"""
POINTS = """
[kgrow.exporters]
plain = plugged:Plain
garbled = plugged:Garbled
first = plugged:First
negative = plugged:Negative
helpless = plugged:Helpless
"""


@pytest.fixture(autouse=True)
def _plugged(plug_in):
    plug_in(MODULE, POINTS)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("garbled", r"but gives another one\. The converted model does not run"),
        ("first", r"but gives another one\. The converted model must read and give .*'logits_2'"),
    ],
)
def test_exporter_that_gives_another_model_is_named_with_its_package(name, problem, varied_copy):
    images = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(PluginError, match=problem) as error:
        converted_by(EXPORTERS[name], varied_copy, (2,), "uint8", images)
    assert f"`kgrow.exporters: {name} = plugged:{name.capitalize()}` of the package 'plugged 1.5'" in str(error.value)
    assert converted_by(EXPORTERS["plain"], varied_copy, (2,), "uint8", images)[4:8] == b"TFL3"


@pytest.mark.parametrize(
    ("name", "problem"), [("negative", "raised RuntimeError: not stored"), ("helpless", "raised RuntimeError: no rem")]
)
def test_exporter_that_raises_while_it_advises_is_named_with_its_package(
    name, problem, tiny_network, tiny_task, tmp_path, monkeypatch
):
    monkeypatch.setattr("kgrow.exporting.verify.standard_error", lambda lost: -1.0)  # whatever it costs is too much
    with pytest.raises(PluginError, match=problem) as error:
        export(tiny_network, tiny_task, tmp_path / "file.tflite", ExportOptions(name))
    assert "of the package 'plugged 1.5'" in str(error.value)
