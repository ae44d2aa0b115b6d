"""What every exporter owes, over all of them."""

import inspect

import pytest

from kgrow.exporting import Exporter
from kgrow.exporting.exporter import FloatExporter
from kgrow.registry import EXPORTERS
from kgrow.testing import ExporterContract


class TestExporters(ExporterContract):
    @pytest.fixture(scope="class", params=EXPORTERS.own)
    @classmethod
    def subject(cls, request):
        return EXPORTERS[request.param]


def test_all_implementations_are_in_the_table():
    made = {type(exporter) for exporter in map(EXPORTERS.__getitem__, EXPORTERS.own)}
    kinds = {*Exporter.__subclasses__(), *FloatExporter.__subclasses__()} - {FloatExporter}
    assert made == {kind for kind in kinds if kind.__module__.startswith("kgrow.")}
    assert not any(inspect.isabstract(kind) for kind in made)
