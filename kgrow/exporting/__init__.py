"""Export of a network to a small, verified file for a device."""

from kgrow.exporting.compact import compact
from kgrow.exporting.early_exit import EarlyExit
from kgrow.exporting.export import export
from kgrow.exporting.exporter import Exporter
from kgrow.exporting.measure import Artefact, classify, runtime_name
from kgrow.exporting.options import ExportOptions
from kgrow.exporting.threshold import set_threshold
from kgrow.exporting.verify import ExportError
from kgrow.registry import EXPORTERS

__all__ = [
    "EXPORTERS",
    "Artefact",
    "EarlyExit",
    "ExportError",
    "ExportOptions",
    "Exporter",
    "classify",
    "compact",
    "export",
    "runtime_name",
    "set_threshold",
]
