"""TensorFlow and Keras, imported at their first use: an architecture is data and needs neither."""

from __future__ import annotations

import importlib
from typing import Any


class _Late:
    """Stands for a name of a module that is not imported yet."""

    def __init__(self, module: str, name: str):
        self._module, self._name = module, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(getattr(importlib.import_module(self._module), self._name), attribute)


keras: Any = _Late("kgrow._keras", "keras")
tf: Any = _Late("kgrow._keras", "tf")


def prunable(layer: Any) -> Any:
    """Wraps a layer so that its kernel can be pruned; see `kgrow._tfmot.prunable`."""
    from kgrow._tfmot import prunable as wrap

    return wrap(layer)
