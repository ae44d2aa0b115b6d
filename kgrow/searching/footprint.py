"""What a network will cost a device, from its architecture alone: fast enough to judge a million candidates."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from kgrow.graph import Architecture
from kgrow.graph.device import device_steps
from kgrow.pruning import kept_of
from kgrow.searching.memory import arena_bytes_of


@dataclasses.dataclass(frozen=True)
class Format:
    """What a file of some format is made of, in bytes.

    Args:
        weight: Per kernel weight.
        channel: Per output channel of a kernel: the bias, and in 8 bits the scales and zero points of both.
        kernel: Per operation with a kernel: its tensors and options.
        operation: Per operation without one.
        file: For the rest, the description included.
    """

    weight: int
    channel: int
    kernel: int
    operation: int
    file: int


# A line a little above exported files, by up to 5 % at 11 to 118 operations: what is tried fits in the end. Files of
# trained networks: biases that are all zero, as of fresh ones, are stored once.
FORMATS = {"float32": Format(4, 4, 243, 107, 3_420), "int8": Format(1, 28, 316, 141, 3_600)}


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Predicted figures of one candidate, named as in `Limits`.

    Args:
        params: Kept connections; exact.
        macs: Multiply-accumulates per image to the last head, pruned connections included; exact.
        flash_bytes: Size of the exported file with the last head; a few percent above it.
        ram_bytes: Memory for activations; exact as long as pruning leaves every channel.
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
def costs(architecture: Architecture, quantization: str = "int8", input_dtype: str = "uint8") -> Costs:
    """Returns the costs of an architecture as a file of some format.

    Args:
        architecture: As trained.
        quantization: A name in `FORMATS`.
        input_dtype: Type of the raw pixels.
    """
    last, parts = len(architecture.blocks) - 1, FORMATS[quantization]
    steps = device_steps(architecture, heads=(last,))
    kernels = [step for step in steps if step.kernel_shape]
    others = len(steps) - len(kernels)
    weights = sum(math.prod(step.kernel_shape) for step in kernels)
    channels = sum(step.shape[-1] for step in kernels)
    return Costs(
        kernels=tuple(
            tuple(kernel.kernel_params for kernel in architecture.kernels(index)) for index in range(last + 1)
        ),
        macs=architecture.macs(),
        flash_bytes=weights * parts.weight
        + channels * parts.channel
        + len(kernels) * parts.kernel
        + others * parts.operation
        + parts.file,
        ram_bytes=arena_bytes_of(architecture, steps, quantization == "int8", np.dtype(input_dtype).itemsize),
    )
