"""`Float32`: weights and activations as they were trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from kgrow.exporting.exporter import Exporter, check_model, open_converter, run_converter
from kgrow.network import GrowingNetwork


@dataclasses.dataclass(frozen=True)
class Float32(Exporter):
    """Writes float32 weights; batch normalisation is folded into the convolutions.

    Args:
        exit_index: The head that answers; the last one by default. What only later heads need is left out.
        input_dtype: Type of the raw pixels that the device feeds, `"uint8"` or `"float32"`. The scaling is inside.
    """

    exit_index: int | None = None
    input_dtype: str = "uint8"

    def convert(self, network: GrowingNetwork, representative_dataset: Iterable[np.ndarray] | None = None) -> bytes:
        """See `Exporter.convert`; needs no representative dataset."""
        model = run_converter(open_converter(network, self.exit_index, self.input_dtype))
        check_model(model, network, self.input_dtype)
        return model
