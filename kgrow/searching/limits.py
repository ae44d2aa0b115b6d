"""`Limits`: what the device allows, as hard bounds."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from kgrow._checks import check_positive_int, lookup

# What is left of a device's memory to the model: the program, its stack and its buffers need the other half.
SHARE_OF_DEVICE = 0.5

# By the name used on the command line: the field, and what one of each unit is in the field's own.
_SIZES = {"": 1, "B": 1, "KB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2}
_COUNTS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}
NAMES: dict[str, tuple[str, Mapping[str, float]]] = {
    "params": ("params", _COUNTS),
    "macs": ("macs", _COUNTS),
    "flash": ("flash_bytes", _SIZES),
    "ram": ("ram_bytes", _SIZES),
    "latency": ("latency_ms", {"ms": 1, "s": 1000, "us": 1e-3}),
}


class LimitError(ValueError):
    """No candidate satisfies the limits."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Hard bounds on the result; None leaves a figure free.

    Args:
        params: Most kept connections: convolution and Dense kernel weights that the masks keep.
        macs: Most multiply-accumulates per image, pruned connections included: what a device computes.
        flash_bytes: Size of the exported file.
        ram_bytes: Memory that a microcontroller needs for the file's activations.
        latency_ms: Median time per image of the file, on one thread of this machine.

    Example:
        >>> Limits(flash_bytes=64_000, ram_bytes=32_000).exceeded({"flash_bytes": 70_000, "ram_bytes": 32_000})
        ('flash_bytes',)
    """

    params: int | None = None
    macs: int | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    latency_ms: float | None = None

    def __post_init__(self) -> None:
        for name in ("params", "macs", "flash_bytes", "ram_bytes"):
            if getattr(self, name) is not None:
                check_positive_int(getattr(self, name), name)
        if self.latency_ms is not None and not self.latency_ms > 0:
            raise ValueError(f"`latency_ms` must be positive, but got {self.latency_ms!r}.")

    @functools.cached_property
    def given(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    @property
    def concern_the_file(self) -> bool:
        """Whether the exported file must be looked at."""
        return bool({"flash_bytes", "ram_bytes", "latency_ms"} & set(self.given))

    @property
    def concern_the_architecture(self) -> bool:
        """Whether pruning single connections is not enough to satisfy them."""
        return bool(set(self.given) - {"params"})

    def exceeded(self, figures: Mapping[str, float]) -> tuple[str, ...]:
        """Returns the names of the limits that are broken.

        Args:
            figures: By the names of the limits; what is not in it is not judged.
        """
        return tuple(name for name, limit in self.given.items() if figures.get(name, 0) > limit)

    def tightened(self, other: Limits) -> Limits:
        """Returns the limits that satisfy both."""
        mine, theirs = self.given, other.given
        both = {name: min(mine.get(name, value), value) for name, value in theirs.items()}
        return Limits(**{**mine, **both})  # type: ignore[arg-type]

    @staticmethod
    def of_device(name: str) -> Limits:
        """Returns the limits of a named device: half of its flash and RAM, the other half being the program's.

        Raises:
            ValueError: If no such device is listed; the nearest names are offered.
        """
        device = lookup(devices(), name, "device")
        return Limits(
            flash_bytes=int(device["flash_bytes"] * SHARE_OF_DEVICE),
            ram_bytes=int(device["ram_bytes"] * SHARE_OF_DEVICE),
        )

    @staticmethod
    def parse(texts: Iterable[str]) -> Limits:
        """Returns the limits of texts such as `flash=64KB`, `ram=32KiB`, `params=10k` or `latency=5ms`.

        Raises:
            ValueError: If a name or a unit is unknown, or a name is given twice with different values.
        """
        found: dict[str, float] = {}
        for text in texts:
            name, value = _parsed(text)
            if found.setdefault(name, value) != value:
                raise ValueError(f"`limit` must be given once per name, but {name} is both {found[name]} and {value}.")
        return Limits(**found)  # type: ignore[arg-type]


def devices() -> dict[str, dict[str, Any]]:
    """Returns the listed devices by name: `flash_bytes`, `ram_bytes`, what they are and where the figures are from."""
    text = resources.files("kgrow.searching").joinpath("devices.json").read_text("utf-8")
    return json.loads(text)


def _parsed(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    field, units = lookup(NAMES, name.strip(), "limit")
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", amount)
    if not match or match[2] not in units:
        examples = ", ".join(f"{name}=64{unit}" for unit in units)
        raise ValueError(f"`limit` must be a number and a unit, such as {examples}, but got {text!r}.")
    value = float(match[1]) * units[match[2]]
    return field, value if field == "latency_ms" else int(value)
