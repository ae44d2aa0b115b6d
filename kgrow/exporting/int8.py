"""`Int8`: weights and activations in 8 bits, with integer arithmetic only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_name
from kgrow._keras import tf
from kgrow.exporting.exporter import INPUT_DTYPES, Exporter, convert_checked, open_converter
from kgrow.exporting.folded import FoldedNetwork
from kgrow.exporting.quantized import QuantizedNetwork, calibrate, fake_quant_kernel, quantization_errors
from kgrow.network import GrowingNetwork


@dataclasses.dataclass(frozen=True)
class Int8(Exporter):
    """Writes 8 bit weights and activations; besides float32, the only format that microcontrollers run.

    Args:
        tune: Function called with the calibrated network before the conversion; see `kgrow.exporting.fine_tuning`.
    """

    tune: Callable[[QuantizedNetwork], Any] | None = None

    @property
    def remedy(self) -> str:
        """See `Exporter.remedy`."""
        if self.tune is not None:
            return (
                "Fine-tuning did not win it back: use 'dynamic' (--quantize dynamic), whose activations stay float32."
            )
        return (
            "Try `fine_tune_epochs=3` (--fine-tune-epochs 3): it trains with 8 bits simulated, which may win the loss "
            "back, and keeps an epoch only if it is better on the validation images."
        )

    def convert(
        self,
        network: GrowingNetwork,
        exit_indices: Sequence[int],
        input_dtype: str = "uint8",
        representative_dataset: np.ndarray | None = None,
    ) -> bytes:
        """See `Exporter.convert`; needs a representative dataset."""
        check_name(INPUT_DTYPES, input_dtype, "input_dtype")
        if representative_dataset is None:
            raise ValueError(
                "`representative_dataset` must be given for int8, but is None: it fixes the ranges of activations."
            )
        folded = FoldedNetwork(network)
        quantized = QuantizedNetwork(folded, calibrate(folded, representative_dataset))
        if self.tune is not None:
            self.tune(quantized)
        # Pixels stay float32 in the function; the converter itself replaces its quantized input by one of the type.
        converter = open_converter(folded.architecture, quantized.heads, exit_indices, "float32")
        options = converter_options(input_dtype)
        return convert_checked(converter, options, folded.architecture, exit_indices, input_dtype, "int8")

    def stored(self, kernel: Any) -> Any:
        """See `Exporter.stored`."""
        return fake_quant_kernel(kernel)

    def layer_errors(self, network: GrowingNetwork, images: np.ndarray) -> dict[str, float]:
        """See `Exporter.layer_errors`; also counts the rounding of the layer's output."""
        folded = FoldedNetwork(network)
        return quantization_errors(QuantizedNetwork(folded, calibrate(folded, images)), images)


def converter_options(input_dtype: str) -> dict[str, Any]:
    """Returns the attributes to set on TensorFlow's converter.

    Args:
        input_dtype: Type of the raw pixels.
    """
    return {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "inference_input_type": tf.as_dtype(input_dtype),
        "inference_output_type": tf.int8,
    }
