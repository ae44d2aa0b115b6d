"""`Float32`: unchanged weights and activations."""

from __future__ import annotations

import dataclasses

from kgrow.exporting.exporter import FloatExporter


@dataclasses.dataclass(frozen=True)
class Float32(FloatExporter):
    """Writes float32 weights; batch normalization is folded into the convolutions."""
