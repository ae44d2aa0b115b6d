"""`BFloat16`: weights of float32 whose last 16 bits are zero, so that a file is packed to half its size."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow.exporting import Exporter
from kgrow.network import GrowingNetwork
from kgrow.registry import EXPORTERS


@dataclasses.dataclass(frozen=True)
class BFloat16(Exporter):
    """Rounds kernels to bfloat16 and writes them as `float32` does."""

    def convert(
        self,
        network: GrowingNetwork,
        exit_indices: Sequence[int],
        input_dtype: str = "uint8",
        representative_dataset: np.ndarray | None = None,
    ) -> bytes:
        """See `Exporter.convert`; needs no representative dataset."""
        rounded = network.copy()
        rounded.load_state({name: self._rounded(name, value) for name, value in network.state().items()})
        return EXPORTERS["float32"].convert(rounded, exit_indices, input_dtype)

    def stored(self, kernel: Any) -> Any:
        """See `Exporter.stored`."""
        import tensorflow as tf  # kgrow sets it up when it loads it

        return tf.cast(tf.cast(kernel, tf.bfloat16), tf.float32)

    def _rounded(self, name: str, value: np.ndarray) -> np.ndarray:
        return np.asarray(self.stored(value)) if name.endswith("/kernel") else value
