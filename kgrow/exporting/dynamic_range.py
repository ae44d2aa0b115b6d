"""`DynamicRange`: weights in 8 bits, activations quantized while the model runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.exporting.exporter import ONE_RANGE_PER_DENSE, Exporter, convert_floats
from kgrow.exporting.quantized import fake_quant_kernel
from kgrow.network import GrowingNetwork

# TensorFlow's converter keeps kernels with fewer weights in float32.
SMALLEST = 1024


@dataclasses.dataclass(frozen=True)
class DynamicRange(Exporter):
    """Writes the weights of larger layers in 8 bits; activations between layers stay float32.

    TensorFlow Lite Micro does not run such a file.
    """

    def convert(
        self,
        network: GrowingNetwork,
        exit_indices: Sequence[int],
        input_dtype: str = "uint8",
        representative_dataset: np.ndarray | None = None,
    ) -> bytes:
        """See `Exporter.convert`; needs no representative dataset."""
        return convert_floats(network, exit_indices, input_dtype, converter_options())

    def stored(self, kernel: Any) -> Any:
        """See `Exporter.stored`."""
        return fake_quant_kernel(kernel) if tf.size(kernel) >= SMALLEST else kernel


def converter_options() -> dict[str, Any]:
    """Returns the attributes to set on TensorFlow's converter."""
    return {"optimizations": [tf.lite.Optimize.DEFAULT], **ONE_RANGE_PER_DENSE}
