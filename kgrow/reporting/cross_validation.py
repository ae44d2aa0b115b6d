"""The result of a cross-validation in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from kgrow.reporting.rows import print_plain
from kgrow.reporting.wording import Paragraph, grouped, percent, with_interval


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Returns what `kgrow.cross_validate` found, in sentences."""
    folds, half = document["num_folds"], document["half"]
    trained = f"{folds} networks" if folds == document["folds"] else f"{folds} of {document['folds']} networks"
    accuracy = with_interval(document["accuracy"], document["interval"])
    found = [
        f"Cross-validated: {accuracy} % of {grouped(document['num_images'])} images (95 % interval), by {trained} of "
        f"some {grouped(document['num_train'])} training images each, before quantization; per fold "
        f"{', '.join(map(percent, document['per_fold']))} %."
    ]
    if half is None:
        return found
    compared = f"with half of the training images {percent(half['accuracy'])} %, with all {percent(half['full'])} %"
    if document["gain_of_twice"] is None:
        return [*found, f"Whether more images would help cannot be told: {compared} (p = {half['p_value']:.2g})."]
    points = f"{document['gain_of_twice']:.1f}"
    return [*found, f"Twice the images would probably give {points} points: {compared}, on the same images."]


def print_cross_validation(document: Mapping[str, Any], stream: TextIO) -> None:
    """Writes what `kgrow.cross_validate` found."""
    for sentence in sentences(document):
        print_plain(Paragraph(sentence), stream)
