"""`Float16`: weights in half precision."""

from __future__ import annotations

import dataclasses
from typing import Any

from kgrow._keras import tf
from kgrow.exporting.exporter import FloatExporter


@dataclasses.dataclass(frozen=True)
class Float16(FloatExporter):
    """Writes float16 weights, half the bytes of float32; the interpreter converts them to float32 on loading.

    TensorFlow Lite Micro does not run such a file.
    """

    def options(self) -> dict[str, Any]:
        """See `FloatExporter.options`."""
        with_type = tf.lite.TargetSpec(supported_types=[tf.float16])
        return {"optimizations": [tf.lite.Optimize.DEFAULT], "target_spec": with_type}

    def stored(self, kernel: Any) -> Any:
        """See `Exporter.stored`."""
        return tf.cast(tf.cast(kernel, tf.float16), tf.float32)
