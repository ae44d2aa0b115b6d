"""What a network will cost a device, from its architecture alone: fast enough to judge a million candidates."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

from kgrow.architecture import Countable
from kgrow.architecture.operation import on_device
from kgrow.pruning import kept_of


@dataclasses.dataclass(frozen=True)
class Format:
    """What a file of some format is made of, in bytes.

    Args:
        weight: Per kernel weight.
        channel: Per output channel of a kernel: the bias, and in 8 bits the scales and zero points of both.
        operation: Per operation: its tensors and options.
        file: For the rest, the description included.
        activation: Per value in memory.
    """

    weight: int
    channel: int
    operation: int
    file: int
    activation: int


# A line a little above exported files, by up to 5 % at 11 to 22 operations: what is tried shall fit in the end.
FORMATS = {"float32": Format(4, 4, 125, 3_800, 4), "int8": Format(1, 28, 250, 4_100, 1)}


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Predicted figures of one candidate, named as in `Limits`.

    Args:
        params: Kept connections; exact.
        macs: Multiply-accumulates per image to the last head, pruned connections included; exact.
        flash_bytes: Size of the exported file with the last head; a few percent above it, up to an eighth with many
            small operations.
        ram_bytes: Memory for activations; within a few percent where cells read one map, up to a tenth elsewhere.
    """

    params: int
    macs: int
    flash_bytes: int
    ram_bytes: int


@dataclasses.dataclass(frozen=True)
class Costs:
    """What of a footprint does not depend on the keep ratios.

    Args:
        kernels: Per block the sizes of its kernels.
        macs: See `Footprint`.
        flash_bytes: See `Footprint`.
        ram_bytes: See `Footprint`.
    """

    kernels: tuple[tuple[int, ...], ...]
    macs: int
    flash_bytes: int
    ram_bytes: int

    def footprint(self, keep_ratios: Sequence[float], scope: str = "block") -> Footprint:
        """Returns the footprint of a candidate.

        Args:
            keep_ratios: One per block.
            scope: What is ranked together when pruning; it decides how counts are rounded.
        """
        return Footprint(kept_of(self.kernels, keep_ratios, scope), self.macs, self.flash_bytes, self.ram_bytes)


@functools.lru_cache(maxsize=1024)
def costs(architecture: Countable, quantization: str = "int8") -> Costs:
    """Returns the costs of an architecture as a file of some format.

    Args:
        architecture: As trained.
        quantization: A name in `FORMATS`.
    """
    last, parts = architecture.operations[-1].block_index, FORMATS[quantization]
    operations = on_device([op for op in architecture.operations if not op.is_head or op.block_index == last])
    weights = sum(op.kernel_params for op in operations)
    channels = sum(op.output_shape[-1] for op in operations if op.kernel_shape)
    # The pixels' mean is subtracted by an operation of its own: for a while the image is there twice.
    images = 2 * math.prod(architecture.input_shape) * parts.activation
    return Costs(
        kernels=tuple(tuple(op.kernel_params for op in architecture.kernels(index)) for index in range(last + 1)),
        macs=architecture.macs(),
        flash_bytes=weights * parts.weight + channels * parts.channel + len(operations) * parts.operation + parts.file,
        ram_bytes=max(architecture.peak_activation_bytes(parts.activation), images),
    )
