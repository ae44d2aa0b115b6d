"""Two counts of a LeNet's floating point operations: as in published tables, and as executed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kgrow.graph.values import Weighted


@dataclasses.dataclass(frozen=True)
class LayerSize:
    """Sizes that determine the cost of a layer; sides are (height, width), (1, 1) for a fully connected layer.

    Args:
        inputs: Number of channels or values read.
        outputs: Number of filters or values made.
        kernel: Sides of the kernel.
        input_map: Sides of the map that the layer reads.
        output_map: Sides of the map that the layer makes, before pooling.
    """

    inputs: int
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    input_map: tuple[int, int] = (1, 1)
    output_map: tuple[int, int] = (1, 1)


def layer_sizes(weighted: Weighted) -> list[LayerSize]:
    """Returns the size of every layer with a kernel, counting inputs and outputs that have a nonzero weight.

    Args:
        weighted: A network of convolutions and fully connected layers.
    """
    architecture, found = weighted.architecture, []
    for kernel in architecture.kernels():
        used = weighted.weights[kernel.name]["kernel"] != 0
        matrix = used.any(axis=tuple(range(used.ndim - 2)))
        counts = int(matrix.any(axis=1).sum()), int(matrix.any(axis=0).sum())
        if used.ndim == 2:
            found.append(LayerSize(*counts))
            continue
        (source,) = architecture.by_name[kernel.name].inputs
        sides = [(shape[0], shape[1]) for shape in (architecture.shapes[source], architecture.shapes[kernel.name])]
        found.append(LayerSize(*counts, (used.shape[0], used.shape[1]), *sides))
    return found


def widths(sizes: Sequence[LayerSize]) -> list[int]:
    """Returns the widths that name a network: filters, the inputs of the first fully connected layer, then all outputs.

    Args:
        sizes: Sizes of its layers; the outputs of the last one are left out.
    """
    first = next((index for index, size in enumerate(sizes) if size.input_map == (1, 1)), len(sizes))
    outputs = [size.outputs for size in sizes[:-1]]
    return [*outputs[:first], *(size.inputs for size in sizes[first : first + 1]), *outputs[first:]]


def published_flops(sizes: Sequence[LayerSize]) -> int:
    """Counts operations as the tables that compare compression methods do; for LeNet-5 this is about twice too much.

    A Dense layer counts (2 inputs - 1) outputs. A convolution counts 2 H W (channels k^2 + 1) filters, with the sides H
    and W of the map that it reads, although it makes a smaller one.

    Args:
        sizes: Sizes of the layers.

    References:
        Molchanov, Tyree, Karras, Aila and Kautz, "Pruning Convolutional Neural Networks for Resource Efficient
        Inference", ICLR 2017, https://arxiv.org/abs/1611.06440, appendix A.1.
    """
    return sum(_flops(size, size.input_map) for size in sizes)


def executed_flops(sizes: Sequence[LayerSize]) -> int:
    """Counts the same operations at the positions of the output map.

    Args:
        sizes: Sizes of the layers.
    """
    return sum(_flops(size, size.output_map) for size in sizes)


def _flops(size: LayerSize, positions: tuple[int, int]) -> int:
    if size.input_map == (1, 1):
        return (2 * size.inputs - 1) * size.outputs
    terms = size.inputs * size.kernel[0] * size.kernel[1] + 1
    return 2 * positions[0] * positions[1] * terms * size.outputs
