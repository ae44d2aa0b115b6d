"""The base classes of operators with a window."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow._checks import check_name, check_positive_int
from kgrow.graph.operators._kept_values import KeepsValues
from kgrow.graph.operators.operator import Operator, Shape
from kgrow.graph.operators.sides import windowed

PADDINGS = ("same", "valid")


@dataclasses.dataclass(frozen=True)
class Windowed(Operator):
    """An operator with a window.

    Args:
        window: Height and width of the window.
        strides: Steps in height and width.
        padding: `"same"` or `"valid"`.
    """

    window: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    padding: str = "same"

    def __post_init__(self) -> None:
        check_name(PADDINGS, self.padding, "padding")
        for name in ("window", "strides"):
            sides = getattr(self, name)
            if len(sides) != 2:
                raise ValueError(f"`{name}` must be (height, width), but got {sides!r}.")
            checked = (check_positive_int(side, f"{name}[{axis}]") for axis, side in enumerate(sides))
            object.__setattr__(self, name, tuple(checked))

    def moved(self, shape: Shape, taps: tuple[int, ...] | None = None) -> Shape:
        """Returns (height, width) after a window was moved over a map of the given shape."""
        if len(shape) != 3:
            raise ValueError(f"`{self.kind}` must read a map (height, width, channels), but reads {shape}.")
        sides = zip(shape[:2], taps or self.window, self.strides, strict=True)
        return tuple(windowed(size, tap, stride, self.padding) for size, tap, stride in sides)


class Pool(KeepsValues, Windowed):
    """A window that reduces each channel to one value; constants are preserved, because padding does not count."""

    def output_shape(self, *inputs: Shape) -> Shape:
        """See `Operator.output_shape`."""
        return (*self.moved(inputs[0]), inputs[0][-1])

    @classmethod
    def from_keras(cls, config: Mapping[str, Any], inputs: Sequence[Shape]) -> Operator:
        """See `Operator.from_keras`."""
        return cls(**plain_options(config, window="pool_size"))


def plain_options(config: Mapping[str, Any], window: str) -> dict[str, Any]:
    """Returns the options that Keras' configuration shares with `Windowed`.

    Args:
        config: Configuration of a layer.
        window: Keras' name of the window.
    """
    restricted(config, data_format=("channels_last",))
    return {"window": tuple(config[window]), "strides": tuple(config["strides"]), "padding": config["padding"]}


def restricted(config: Mapping[str, Any], **allowed: tuple[Any, ...]) -> None:
    """Raises ValueError unless every option of a layer has one of the allowed values; options may be absent."""
    for name, values in allowed.items():
        if name in config and config[name] not in values:
            raise ValueError(f"has {name}={config[name]!r}, where only {' or '.join(map(repr, values))} can be read")
