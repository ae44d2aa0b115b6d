"""`Float32`: unchanged weights and activations."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kgrow.exporting.exporter import Exporter, convert_floats
from kgrow.network import GrowingNetwork


@dataclasses.dataclass(frozen=True)
class Float32(Exporter):
    """Writes float32 weights; batch normalization is folded into the convolutions."""

    def convert(
        self,
        network: GrowingNetwork,
        exit_indices: Sequence[int],
        input_dtype: str = "uint8",
        representative_dataset: np.ndarray | None = None,
    ) -> bytes:
        """See `Exporter.convert`; needs no representative dataset."""
        return convert_floats(network, exit_indices, input_dtype, {})
