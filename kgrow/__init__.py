"""kgrow: grow, prune and search small image classifiers for small devices.

Names are imported when they are first used, so that `import kgrow` does not load TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgrow.compressing.compress import compress
    from kgrow.compressing.compressed import Compressed
    from kgrow.exporting import EarlyExit, ExportError
    from kgrow.pipeline import search
    from kgrow.result import Result, load
    from kgrow.searching.engine import Ray
    from kgrow.searching.limits import LimitError, Limits
    from kgrow.task import Augmentation, Task

__version__ = "0.1.0"

_HOMES = {
    "Augmentation": "kgrow.task",
    "Compressed": "kgrow.compressing.compressed",
    "EarlyExit": "kgrow.exporting",
    "ExportError": "kgrow.exporting",
    "LimitError": "kgrow.searching.limits",
    "Limits": "kgrow.searching.limits",
    "Ray": "kgrow.searching.engine",
    "Result": "kgrow.result",
    "Task": "kgrow.task",
    "compress": "kgrow.compressing.compress",
    "load": "kgrow.result",
    "search": "kgrow.pipeline",
}

__all__ = [
    "Augmentation",
    "Compressed",
    "EarlyExit",
    "ExportError",
    "LimitError",
    "Limits",
    "Ray",
    "Result",
    "Task",
    "__version__",
    "compress",
    "load",
    "search",
]


def __getattr__(name: str) -> Any:
    if name in ("Chief", "Worker"):
        raise AttributeError(
            f"`kgrow.{name}` is no more. A search on several machines is `engine='ray'`: see `kgrow.Ray`."
        )
    if name not in _HOMES:
        raise AttributeError(f"module 'kgrow' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
