"""Any trained model as one of plain tf_keras layers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kgrow._keras import keras
from kgrow.models.described import Described
from kgrow.models.described import Path as LayerPath
from kgrow.models.files import described_file
from kgrow.models.patterns import AUGMENTING
from kgrow.models.rebuilt import rebuilt

# What tf_keras models hold that is read as other layers, or in place of the layer.
REWRITTEN = ("TFOpLambda", "Resizing", *AUGMENTING)


def opened(model: Any) -> tuple[keras.Model, tuple[str, ...]]:
    """Returns a model of plain tf_keras layers, and messages about what of the given one is left out.

    Args:
        model: Model of tf_keras or of Keras 3, or the path of a file; see `described_file`. It is not changed.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If it is none of these.
        ValueError: If it is a subclassed model, or has layers that cannot be read; the message says which.
    """
    if isinstance(model, (str, os.PathLike)):
        return rebuilt(described_file(Path(model)))
    if is_of_keras_3(model):
        if type(model).__name__ not in ("Functional", "Sequential", "Model") or not hasattr(model, "to_json"):
            raise ValueError(_subclassed(model))
        return rebuilt(_described(model, is_keras_3=True))
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a Sequential or Functional model of Keras, or the path of a file, but got {model!r}."
        )
    if isinstance(model, keras.Sequential) and not model.inputs:
        raise ValueError(
            "`model` must be built, but this Sequential model knows no input shape. Begin it with an Input layer, or "
            "call it on an image."
        )
    if not model._is_graph_network:  # Keras has no public API for this
        raise ValueError(_subclassed(model))
    if any(isinstance(layer, keras.Model) or type(layer).__name__ in REWRITTEN for layer in model.layers):
        return rebuilt(_described(model, is_keras_3=False))
    return model, ()


def is_of_keras_3(model: Any) -> bool:
    """Returns whether a model is one of Keras 3, which need not be loaded to tell."""
    return any(kind.__module__.partition(".")[0] == "keras" for kind in type(model).__mro__)


def _subclassed(model: Any) -> str:
    return (
        f"`model` must be Sequential or Functional, but got the subclassed model {type(model).__name__}: its layers "
        "can be seen only where they are connected by `keras.Model(inputs, outputs)`."
    )


def _described(model: Any, *, is_keras_3: bool) -> Described:
    written = json.loads(model.to_json())
    return Described(written["class_name"], written["config"], dict(_weights(model, ())), is_keras_3, model.name)


def _weights(model: Any, path: LayerPath) -> Iterator[tuple[LayerPath, list[np.ndarray]]]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _weights(layer, (*path, layer.name))
        else:
            yield (*path, layer.name), [np.asarray(weight) for weight in layer.get_weights()]
