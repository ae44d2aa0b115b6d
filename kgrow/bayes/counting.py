"""Two ways to count floating point operations of a chain: as published figures do, and as they are done."""

from __future__ import annotations

from collections.abc import Sequence

from kgrow.bayes.chain import LayerSize


def published_flops(sizes: Sequence[LayerSize]) -> int:
    """Counts as the tables do that compression is compared in; it is about twice too much for LeNet-5.

    Dense (2 inputs - 1) outputs; a convolution 2 H W (channels k^2 + 1) filters with the sides H and W of the map that
    it reads, though it makes a smaller one.

    Args:
        sizes: Of the layers.

    References:
        Molchanov, Tyree, Karras, Aila and Kautz, "Pruning Convolutional Neural Networks for Resource Efficient
        Inference", ICLR 2017, https://arxiv.org/abs/1611.06440, appendix A.1.
    """
    return sum(_flops(size, size.input_map) for size in sizes)


def executed_flops(sizes: Sequence[LayerSize]) -> int:
    """Counts the same operations at the positions of the map that is made.

    Args:
        sizes: Of the layers.
    """
    return sum(_flops(size, size.output_map) for size in sizes)


def _flops(size: LayerSize, positions: tuple[int, int]) -> int:
    if size.input_map == (1, 1):
        return (2 * size.inputs - 1) * size.outputs
    terms = size.inputs * size.kernel[0] * size.kernel[1] + 1
    return 2 * positions[0] * positions[1] * terms * size.outputs
