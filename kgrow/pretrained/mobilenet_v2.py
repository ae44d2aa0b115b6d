"""MobileNetV2: Sandler et al., CVPR 2018, Table 2."""

from __future__ import annotations

from collections.abc import Callable

from kgrow.graph import Scaling
from kgrow.pretrained.backbone import Backbone, Layer, Unit

# Expansion, filters, repeats and stride of each stage (Table 2).
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM, LAST = 32, 1280


def in_keras(alpha: float) -> Backbone:
    """Returns the network with the layers of keras-applications.

    Args:
        alpha: Factor on all numbers of channels but the last convolution's, which grows only.
    """

    def layers(number: int, parts: int) -> tuple[Layer, ...]:
        name = f"block_{number}" if number else "expanded_conv"
        return tuple((f"{name}_{part}", f"{name}_{part}_BN") for part in ("expand", "depthwise", "project")[-parts:])

    blocks = _blocks(alpha, ("Conv1", "bn_Conv1"), layers, ("Conv_1", "Conv_1_bn"))
    return Backbone(blocks, Scaling((127.5,) * 3, (127.5,) * 3), 1e-3, "keras")


def in_torch() -> Backbone:
    """Returns the network with the layers of torchvision, of width 1."""

    def layers(number: int, parts: int) -> tuple[Layer, ...]:
        name, last = f"features.{number + 1}.conv", parts - 1
        inner = tuple((f"{name}.{part}.0", f"{name}.{part}.1") for part in range(last))
        return (*inner, (f"{name}.{last}", f"{name}.{last + 1}"))

    scaling = Scaling((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    blocks = _blocks(1.0, ("features.0.0", "features.0.1"), layers, ("features.18.0", "features.18.1"))
    return Backbone(blocks, scaling, 1e-5, "torch", pads_evenly=True)


def _blocks(
    alpha: float, stem: Layer, layers: Callable[[int, int], tuple[Layer, ...]], last: Layer
) -> tuple[tuple[Unit, ...], ...]:
    blocks: list[tuple[Unit, ...]] = []
    channels, number = divisible(STEM * alpha), 0
    for expansion, filters, repeats, stride in STAGES:
        units = [] if blocks else [Unit("conv", channels, (stem,), stride=2)]
        for repeat in range(repeats):
            own = layers(number, 2 if expansion == 1 else 3)
            hidden, step = expansion * channels, 1 if repeat else stride
            channels, number = divisible(filters * alpha), number + 1
            units.append(Unit("inverted", channels, own, hidden, stride=step))
        blocks.append(tuple(units))
    blocks[-1] += (Unit("conv", divisible(LAST * max(alpha, 1.0)), (last,), kernel_size=1),)
    return tuple(blocks)


def divisible(channels: float) -> int:
    """Returns the nearest multiple of 8, at least 8, that is not below nine tenths of a number of channels."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
