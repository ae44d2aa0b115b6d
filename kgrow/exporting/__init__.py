"""A network to a small, verified `.tflite` file."""

from kgrow.exporting.compact import compact
from kgrow.exporting.export import EXPORTERS, ExportError, export
from kgrow.exporting.exporter import Exporter
from kgrow.exporting.float32 import Float32
from kgrow.exporting.measure import Artefact, classify, latency_ms, runtime_name

__all__ = [
    "EXPORTERS",
    "Artefact",
    "ExportError",
    "Exporter",
    "Float32",
    "classify",
    "compact",
    "export",
    "latency_ms",
    "runtime_name",
]
