"""Networks for images of another size."""

from __future__ import annotations

import dataclasses

from kgrow.graph.architecture import Architecture, Block
from kgrow.graph.node import IMAGE, Node
from kgrow.graph.operators import Shape


def at_image_size(architecture: Architecture, size: tuple[int, int]) -> Architecture:
    """Returns a network with the same weights for images of another size.

    Args:
        architecture: Architecture to change.
        size: Height and width of the images.

    Raises:
        ValueError: If a weight would have another shape, or maps that are joined another size than each other.
    """
    image = (*size, architecture.input_shape[2])
    if image == architecture.input_shape:
        return architecture
    shapes: dict[str, Shape] = {IMAGE: image}

    def resized(node: Node) -> Node:
        before, after = architecture.input_shapes(node), [shapes[name] for name in node.inputs]
        operator = node.operator.at_size(before[0], after[0])
        shapes[node.name] = operator.output_shape(*after)
        kernels = (node.operator.kernel_shape(*before), operator.kernel_shape(*after))
        if kernels[0] != kernels[1]:
            raise ValueError(
                f"`size` must leave all weights as they are, but at {size[0]}x{size[1]} the kernel of {node.name} is "
                f"{kernels[1]} instead of {kernels[0]}."
            )
        return dataclasses.replace(node, operator=operator)

    blocks = (Block(tuple(map(resized, block.nodes)), tuple(map(resized, block.head))) for block in architecture.blocks)
    return dataclasses.replace(architecture, input_shape=image, blocks=tuple(blocks))
