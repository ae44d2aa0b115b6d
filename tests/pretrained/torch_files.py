"""Writes files in the two forms of `torch.save`, without torch."""

from __future__ import annotations

import collections
import contextlib
import io
import pickle
import sys
import types
import zipfile
from pathlib import Path

import numpy as np

STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}


def write_legacy(path: Path, state: dict) -> Path:
    """Writes the form before torch 1.6: five pickles, and the values of each storage."""
    with _torch() as torch, path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
            pickle.dump(part, file, 2)
        storages = _dump(file, state, torch)
        pickle.dump(list(storages), file, 2)
        for array in storages.values():
            file.write(array.size.to_bytes(8, "little") + array.tobytes())
    return path


def write_zip(path: Path, state: dict, **view) -> Path:
    """Writes the form since torch 1.6: a zip of one pickle, and a file per storage.

    `view` has the `shape` and the `strides` of each tensor, in place of those of its array.
    """
    with _torch() as torch, zipfile.ZipFile(path, "w") as archive:
        buffer = io.BytesIO()
        storages = _dump(buffer, state, torch, **view)
        archive.writestr("archive/data.pkl", buffer.getvalue())
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return path


class _Storage:
    """The values of a tensor, which are not in the pickle."""

    def __init__(self, array: np.ndarray):
        self.array = array


class _Tensor:
    """A tensor as torch pickles it."""

    def __init__(self, array: np.ndarray, rebuild, shape=None, strides=None):
        self.array, self.rebuild, self.shape, self.strides = array, rebuild, shape, strides

    def __reduce__(self):
        strides = tuple(step // self.array.itemsize for step in self.array.strides)
        flat = np.lib.stride_tricks.as_strided(self.array, (self.array.size,), (self.array.itemsize,)).copy()
        view = (self.shape or self.array.shape, self.strides or strides)
        return self.rebuild, (_Storage(flat), 0, *view, False, collections.OrderedDict())


def _dump(file, state: dict, torch, **view) -> dict[str, np.ndarray]:
    storages: dict[str, np.ndarray] = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if not isinstance(thing, _Storage):
                return None
            key = str(len(storages))
            storages[key] = thing.array
            return ("storage", getattr(torch, STORAGES[str(thing.array.dtype)]), key, "cpu", thing.array.size)

    def converted(value):
        if isinstance(value, dict):
            return collections.OrderedDict((name, converted(each)) for name, each in value.items())
        return _Tensor(value, torch._utils._rebuild_tensor_v2, **view) if isinstance(value, np.ndarray) else value

    Pickler(file, 2).dump(converted(state))
    return storages


@contextlib.contextmanager
def _torch():
    """Has modules of torch's names, so that pickles name what is in them."""
    torch, inner = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*parts):
        raise AssertionError

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    inner._rebuild_tensor_v2, torch._utils = _rebuild_tensor_v2, inner
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules |= {"torch": torch, "torch._utils": inner}
    try:
        yield torch
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
