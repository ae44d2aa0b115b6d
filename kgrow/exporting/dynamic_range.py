"""`DynamicRange`: weights in 8 bits, activations quantized while the model runs."""

from __future__ import annotations

import dataclasses
from typing import Any

from kgrow._keras import tf
from kgrow.exporting.exporter import ONE_RANGE_PER_DENSE, FloatExporter
from kgrow.exporting.quantized import fake_quant_kernel

# TensorFlow's converter keeps kernels with fewer weights in float32.
SMALLEST = 1024


@dataclasses.dataclass(frozen=True)
class DynamicRange(FloatExporter):
    """Writes the weights of larger layers in 8 bits; activations between layers stay float32.

    TensorFlow Lite Micro does not run such a file.
    """

    def options(self) -> dict[str, Any]:
        """See `FloatExporter.options`."""
        return {"optimizations": [tf.lite.Optimize.DEFAULT], **ONE_RANGE_PER_DENSE}

    def stored(self, kernel: Any) -> Any:
        """See `Exporter.stored`."""
        return fake_quant_kernel(kernel) if tf.size(kernel) >= SMALLEST else kernel
