"""`Limits`: the bounds of the device, as hard limits."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from kgrow._checks import check_name, check_positive, check_positive_int, lookup
from kgrow._rules import check_fields, optional
from kgrow._units import parse_amount

# Fraction of a device's memory for the model: the program, its stack and its buffers need the other half.
SHARE_OF_DEVICE = 0.5

# By command-line name: the field, and the value of each unit in the field's own.
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
    """An error for limits that no candidate satisfies."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Hard bounds on the result; None sets no bound.

    Args:
        params: Largest number of kept connections: convolution and Dense kernel weights that the masks keep.
        macs: Largest number of multiply-accumulates per image, pruned connections included: what a device computes.
        flash_bytes: Largest size of the exported file, in bytes.
        ram_bytes: Largest memory for the file's activations on a microcontroller, in bytes.
        latency_ms: Largest median latency per image of the file in milliseconds, on one thread of this machine.

    Each may be a text with a unit, as on the command line: `"10k"`, `"64KB"`, `"32KiB"` or `"5ms"`.

    Example:
        >>> Limits(flash_bytes="64KB")
        Limits(params=None, macs=None, flash_bytes=64000, ram_bytes=None, latency_ms=None)
        >>> Limits(flash_bytes=64_000, ram_bytes=32_000).exceeded({"flash_bytes": 70_000, "ram_bytes": 32_000})
        ('flash_bytes',)
    """

    params: int | str | None = None
    macs: int | str | None = None
    flash_bytes: int | str | None = None
    ram_bytes: int | str | None = None
    latency_ms: float | str | None = None

    def __post_init__(self) -> None:
        check_fields(self, {field: optional(_amount) for field, _ in NAMES.values()})

    @functools.cached_property
    def given(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    @property
    def concern_the_architecture(self) -> bool:
        """Returns whether pruning single connections is not enough to satisfy them."""
        return bool(set(self.given) - {"params"})

    def exceeded(self, figures: Mapping[str, float]) -> tuple[str, ...]:
        """Returns the names of the exceeded limits.

        Args:
            figures: Figures by the names of the limits; missing ones are not checked.
        """
        return tuple(name for name, limit in self.given.items() if figures.get(name, 0) > limit)

    def tightened(self, other: Limits) -> Limits:
        """Returns limits that satisfy both."""
        mine, theirs = self.given, other.given
        both = {name: min(mine.get(name, value), value) for name, value in theirs.items()}
        return Limits(**{**mine, **both})  # type: ignore[arg-type]

    @staticmethod
    def check(value: Any, name: str) -> Limits:
        """Returns limits; also accepts a mapping such as `{"flash_bytes": "64KB"}`.

        Raises:
            ValueError: If it is neither, or a limit is unknown or invalid; the message names it, such as
                `tuning.limits.flash_bytes`.
        """
        if isinstance(value, Limits):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"`{name}` must be `Limits`, or a mapping of the limits by name, but got {value!r}.")
        fields = [field for field, _ in NAMES.values()]
        given = {check_name(fields, key, name): amount for key, amount in value.items()}
        return Limits(**{field: optional(_amount)(amount, f"{name}.{field}") for field, amount in given.items()})

    @staticmethod
    def of_device(name: str) -> Limits:
        """Returns the limits of a named device: half of its flash and RAM. The other half is for the program.

        Raises:
            ValueError: If no such device is listed; the message suggests the nearest names.
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
    """Returns the listed devices by name: `flash_bytes`, `ram_bytes`, a description and the source of the figures."""
    text = resources.files("kgrow.searching").joinpath("devices.json").read_text("utf-8")
    return json.loads(text)


def _parsed(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    field, units = lookup(NAMES, name.strip(), "limit")
    value = _in_units(amount, units)
    if value is None:
        examples = ", ".join(f"{name}=64{unit}" for unit in units)
        raise ValueError(f"`limit` must be a number and a unit, such as {examples}, but got {text!r}.")
    return field, _amount(value, field)


def _amount(value: Any, name: str) -> float:
    """Returns a limit in the unit of its field, which a name such as `limits.flash_bytes` ends with."""
    field = name.rpartition(".")[2]
    units = next(units for known, units in NAMES.values() if known == field)
    number = _in_units(value, units) if isinstance(value, str) else value
    if number is None:
        examples = ", ".join(f"'64{unit}'" for unit in units)
        raise ValueError(f"`{name}` must be a number, or a text such as {examples}, but got {value!r}.")
    return check_positive(number, name) if field == "latency_ms" else check_positive_int(number, name)


def _in_units(text: str, units: Mapping[str, float]) -> float | None:
    """Returns the number of a text, as a whole number for counts."""
    number = parse_amount(text, units)
    return number if number is None or "ms" in units or not math.isfinite(number) else int(number)
