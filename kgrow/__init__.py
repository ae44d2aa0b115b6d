"""kgrow: grow, prune and search small image classifiers for small devices.

Names are imported when they are first used, so that `import kgrow` does not load TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

from kgrow._version import __version__

if TYPE_CHECKING:
    from kgrow._plugins import PluginError
    from kgrow.compressing.compress import compress
    from kgrow.compressing.compressed import Compressed
    from kgrow.config import Config, Export, Growth, Pruning, Training, Tuning
    from kgrow.cross_validation import cross_validate
    from kgrow.exporting import EarlyExit, ExportError
    from kgrow.pipeline import search
    from kgrow.result import Result, load
    from kgrow.searching.engine import Ray
    from kgrow.searching.limits import LimitError, Limits
    from kgrow.task import Augmentation, Task

_HOMES = {
    "Augmentation": "kgrow.task",
    "Compressed": "kgrow.compressing.compressed",
    "Config": "kgrow.config",
    "EarlyExit": "kgrow.exporting",
    "Export": "kgrow.config",
    "ExportError": "kgrow.exporting",
    "Growth": "kgrow.config",
    "LimitError": "kgrow.searching.limits",
    "Limits": "kgrow.searching.limits",
    "PluginError": "kgrow._plugins",
    "Pruning": "kgrow.config",
    "Ray": "kgrow.searching.engine",
    "Result": "kgrow.result",
    "Task": "kgrow.task",
    "Training": "kgrow.config",
    "Tuning": "kgrow.config",
    "compress": "kgrow.compressing.compress",
    "cross_validate": "kgrow.cross_validation",
    "load": "kgrow.result",
    "search": "kgrow.pipeline",
}

__all__ = [
    "Augmentation",
    "Compressed",
    "Config",
    "EarlyExit",
    "Export",
    "ExportError",
    "Growth",
    "LimitError",
    "Limits",
    "PluginError",
    "Pruning",
    "Ray",
    "Result",
    "Task",
    "Training",
    "Tuning",
    "__version__",
    "compress",
    "cross_validate",
    "load",
    "search",
]


def __getattr__(name: str) -> Any:
    if name in ("Chief", "Worker"):
        from kgrow.config.removed import PYTHON

        raise AttributeError(f"`kgrow.{name}` is no more since kgrow 0.2. {PYTHON}")
    if name not in _HOMES:
        raise AttributeError(f"module 'kgrow' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
