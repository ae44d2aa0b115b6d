"""The operations of a cell as data: what each is made of, from which layers and counts follow alike."""

from __future__ import annotations

import dataclasses

CONVOLUTIONS = ("conv", "depthwise")


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer of an operation; SAME padding, no bias.

    Args:
        kind: `"conv"` (to the wanted channels), `"depthwise"`, `"max"` or `"average"`.
        side: Of its square window.
        dilation: Distance of the taps of a `"conv"`.
        groups: Of the channels of a `"conv"`.
        starts: Whether ReLU comes before it.
        ends: Whether it is normalised.
    """

    kind: str
    side: int = 1
    dilation: int = 1
    groups: int = 1
    starts: bool = False
    ends: bool = False


def _separable(side: int) -> tuple[Step, ...]:
    return (Step("depthwise", side, starts=True), Step("conv", ends=True)) * 2


OPERATIONS: dict[str, tuple[Step, ...]] = {
    "sep3": _separable(3),
    "sep5": _separable(5),
    "dil3": (Step("conv", 3, dilation=2, starts=True, ends=True),),
    "dil5": (Step("conv", 5, dilation=2, starts=True, ends=True),),
    "max3": (Step("max", 3),),
    "avg3": (Step("average", 3),),
    "identity": (),
}
# 1x1, between ReLU and normalisation: what a cell reads its inputs through, and a step over positions.
PROJECTION = (Step("conv", starts=True, ends=True),)


def steps_of(operation: str, stride: int) -> tuple[Step, ...]:
    """Returns the layers of an operation, of which the first one has the stride.

    Args:
        operation: A key of `OPERATIONS`.
        stride: 1 or 2; an identity of stride 2 is a 1x1 convolution.
    """
    return OPERATIONS[operation] or (PROJECTION if stride > 1 else ())
