"""MobileNetV1: Howard et al., "MobileNets", 2017, https://arxiv.org/abs/1704.04861, Table 1."""

from __future__ import annotations

from kgrow.graph import Scaling
from kgrow.pretrained.backbone import Backbone, Unit

# Filters and stride of each separable unit (Table 1), in blocks: a stride begins a block.
BLOCKS = (
    ((64, 1),),
    ((128, 2), (128, 1)),
    ((256, 2), (256, 1)),
    ((512, 2), (512, 1), (512, 1)),
    ((512, 1), (512, 1), (512, 1)),
    ((1024, 2), (1024, 1)),
)
STEM = 32


def mobilenet_v1(alpha: float) -> Backbone:
    """Returns the network with the layers of keras-applications.

    Args:
        alpha: Factor on all numbers of channels.
    """
    blocks: list[tuple[Unit, ...]] = []
    number = 0
    for block in BLOCKS:
        units = [] if blocks else [Unit("conv", int(STEM * alpha), (("conv1", "conv1_bn"),), stride=2)]
        for filters, stride in block:
            number += 1
            layers = tuple((f"conv_{part}_{number}", f"conv_{part}_{number}_bn") for part in ("dw", "pw"))
            units.append(Unit("separable", int(filters * alpha), layers, stride=stride))
        blocks.append(tuple(units))
    return Backbone(tuple(blocks), Scaling((127.5,) * 3, (127.5,) * 3), 1e-3, "keras")
