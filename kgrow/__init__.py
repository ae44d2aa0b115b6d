"""kgrow: grow, prune and search small image classifiers for small devices.

Names are imported when they are first used, so that `import kgrow` does not load TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgrow.pipeline import load, search
    from kgrow.result import Result
    from kgrow.searching.limits import LimitError, Limits
    from kgrow.task import Augmentation, Task

__version__ = "0.1.0"

_HOMES = {
    "Augmentation": "kgrow.task",
    "LimitError": "kgrow.searching.limits",
    "Limits": "kgrow.searching.limits",
    "Result": "kgrow.result",
    "Task": "kgrow.task",
    "load": "kgrow.pipeline",
    "search": "kgrow.pipeline",
}

__all__ = ["Augmentation", "LimitError", "Limits", "Result", "Task", "__version__", "load", "search"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kgrow' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
