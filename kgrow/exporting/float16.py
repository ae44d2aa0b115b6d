"""`Float16`: weights in half precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow._keras import tf
from kgrow.exporting.exporter import Exporter, convert_floats
from kgrow.network import GrowingNetwork


@dataclasses.dataclass(frozen=True)
class Float16(Exporter):
    """Writes float16 weights, half the bytes of float32; the interpreter converts them to float32 on loading.

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
        return tf.cast(tf.cast(kernel, tf.float16), tf.float32)


def converter_options() -> dict[str, Any]:
    """Returns the attributes to set on TensorFlow's converter."""
    with_type = tf.lite.TargetSpec(supported_types=[tf.float16])
    return {"optimizations": [tf.lite.Optimize.DEFAULT], "target_spec": with_type}
