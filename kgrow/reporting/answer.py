"""The result of a search in a sentence, and what its limits leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kgrow.reporting.wording import grouped, percent

# Name and unit of each limit.
LIMITS = {
    "flash_bytes": ("flash", "bytes"),
    "ram_bytes": ("RAM", "bytes"),
    "latency_ms": ("latency", "ms"),
    "macs": ("multiply-accumulates", ""),
    "params": ("connections", ""),
}


def answer_of(document: Mapping[str, Any]) -> str:
    """Returns the result in a sentence: accuracy, size, what is left of each limit, and time."""
    artefact = document["best"]["artefacts"][0]
    parts = [f"{percent(artefact['test_accuracy'])} % of the test images in {kilobytes(artefact['bytes'])}"]
    for limit in limits_of(document):
        if limit["unit"] == "bytes":
            spare = limit["most"] - limit["value"]
            parts.append(
                f"{kilobytes(spare)} of {limit['name']} to spare" if spare >= 0 else f"{limit['name']} exceeded"
            )
    parts.append(f"{artefact['latency_ms']:.3g} ms an image on this computer")
    return "; ".join(parts)


def kilobytes(count: float) -> str:
    """Formats bytes: 11836 as "11.8 KB", a thousand bytes each, as limits have it."""
    return (
        f"{grouped(count)} bytes"
        if abs(count) < 1000
        else f"{count / 1000:.1f} KB"
        if count < 1e6
        else f"{count / 1e6:.2f} MB"
    )


def limits_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns each limit of the search with what the file needs of it."""
    best, given = document["best"], document["config"].get("limits") or {}
    artefact = best["artefacts"][0]
    found = {
        "params": best["kept_params"],
        "macs": best["macs_dense"],
        "flash_bytes": artefact["bytes"],
        "ram_bytes": artefact["ram_bytes"],
        "latency_ms": artefact["latency_ms"],
    }
    return [
        {"field": field, "name": LIMITS[field][0], "unit": LIMITS[field][1], "value": found[field], "most": most}
        for field, most in given.items()
        if most is not None and found[field] is not None
    ]
