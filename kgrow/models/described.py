"""`Described`: a model as its configuration and weights, whatever it was read from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

# Names of a layer, after those of the models around it.
Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Described:
    """A model as plain values.

    Args:
        kind: `"Functional"` or `"Sequential"`.
        config: Configuration of the model, as Keras writes it: JSON types.
        weights: Weights of each layer in the order of `layer.weights`, by its path; layers without any may be missing.
        is_of_keras_3: Whether Keras 3 wrote it.
        source: Name of the model or of its file for messages.
    """

    kind: str
    config: Mapping[str, Any]
    weights: Mapping[Path, Sequence[np.ndarray]]
    is_of_keras_3: bool
    source: str


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer, called once.

    Args:
        name: Unique name: that in its model after the names of the models around it, separated by `/`.
        kind: Class name, such as `"Conv2D"`.
        config: Options of the layer by name.
        inputs: Names of the layers that it reads.
        weights: Its weights, in the order of `layer.weights`.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    weights: tuple[np.ndarray, ...] = ()


def is_model(kind: str) -> bool:
    """Returns whether the class name of a layer is that of a whole model."""
    return kind in ("Functional", "Sequential", "Model")


def name_of(entry: Mapping[str, Any]) -> str:
    """Returns the name of a layer in the configuration of its model."""
    return str(entry.get("name") or entry["config"].get("name") or entry["class_name"])


def layers_of(config: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yields paths and class names of the layers in the configuration of a model, those of inner models included."""
    for entry in config["layers"]:
        own = (*path, name_of(entry))
        if is_model(entry["class_name"]):
            yield from layers_of(entry["config"], own)
        else:
            yield own, entry["class_name"]
