"""Reads the tensors of a file that `torch.save` wrote, without torch, and without running anything that is in it."""

from __future__ import annotations

import collections
import dataclasses
import math
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
# Bytes of all tensors of a file together: no backbone for a small device comes near it.
MOST_BYTES = 2**30
MOST_PICKLED = 2**26
FIRST_BYTES = pickle.dumps(MAGIC, 2)


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A part of a storage, which follows in the file.

    Args:
        storage: ("storage", type, key, device, count).
        offset: First value.
        shape: Its shape.
        strides: Values between neighbours along each axis.
    """

    storage: tuple[Any, ...]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Restricted(pickle._Unpickler):
    """Knows a dictionary, tensors and types of storages; everything else in a pickle is an error.

    The unpickler written in Python keeps its memo in a dictionary. That in C has an array, which nine bytes can make as
    large as the memory.
    """

    def find_class(self, module: str, name: str) -> Any:
        """See `pickle.Unpickler.find_class`."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *rest: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in TYPES:
            return name
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is neither a tensor nor a dictionary of them")

    def persistent_load(self, pid: Any) -> Any:
        """See `pickle.Unpickler.persistent_load`."""
        return pid


def is_torch_file(path: Path) -> bool:
    """Returns whether a file was written by `torch.save`, by its first bytes."""
    with path.open("rb") as file:
        if file.read(len(FIRST_BYTES)) == FIRST_BYTES:
            return True
    try:
        return zipfile.is_zipfile(path) and _pickle_in(path) is not None
    except zipfile.BadZipFile:
        return False


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a state dictionary by name, as they are in the file.

    Both forms are read: five pickles and the values (before torch 1.6), and a zip of one pickle and a file per storage.

    Args:
        path: File that `torch.save` wrote.

    Raises:
        ValueError: If it is not such a file, is damaged, or holds more than tensors by name.
    """
    try:
        tensors, storages = _from_zip(path) if zipfile.is_zipfile(path) else _legacy(path)
        sizes = (
            math.prod(map(int, tensor.shape)) * storages[tensor.storage[2]].itemsize for tensor in tensors.values()
        )
        if sum(sizes) > MOST_BYTES:  # a tensor may have one value many times
            raise ValueError("its tensors are larger than those of any backbone")
        return {name: _values(tensor, storages) for name, tensor in tensors.items()}
    except Exception as error:  # a damaged pickle may raise anything
        raise ValueError(
            f"{path} must be a file of tensors by name that `torch.save` wrote, but could not be read: {error}"
        ) from error


def _legacy(path: Path) -> tuple[dict[str, _Tensor], Mapping[str, np.ndarray]]:
    with path.open("rb") as file:
        magic, protocol, system = (_Restricted(file).load() for _ in range(3))
        if (magic, protocol) != (MAGIC, PROTOCOL) or not system["little_endian"]:
            raise ValueError("its first bytes are those of no known version")
        tensors = _checked(_Restricted(file).load())
        types = {tensor.storage[2]: tensor.storage[1] for tensor in tensors.values()}
        storages = {}
        for key in _Restricted(file).load():
            count = int.from_bytes(file.read(8), "little", signed=True)
            storages[key] = _array(file, types[key], count)
    return tensors, storages


def _from_zip(path: Path) -> tuple[dict[str, _Tensor], Mapping[str, np.ndarray]]:
    name = _pickle_in(path)
    if name is None:
        raise ValueError("it is a zip without a `data.pkl`")
    folder = name.rpartition("/")[0]
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(name).file_size > MOST_PICKLED:
            raise ValueError("its `data.pkl` is larger than that of any backbone")
        with archive.open(name) as file:
            tensors = _checked(_Restricted(file).load())
        storages = {}
        for tensor in tensors.values():
            _, kind, key, _, count = tensor.storage
            if key not in storages:
                with archive.open(f"{folder}/data/{key}") as file:
                    storages[key] = _array(file, kind, count)
    return tensors, storages


def _pickle_in(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        return next((name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"), None)


def _checked(state: Any) -> dict[str, _Tensor]:
    """Returns the tensors of a state; of one in a dictionary with other things, such as `{"state_dict": ...}`."""
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, _Tensor) for value in state.values()):
        raise ValueError("it holds something other than tensors by name")
    tensors = {str(name): value for name, value in state.items()}
    sizes = {
        tensor.storage[2]: tensor.storage[4] * np.dtype(TYPES[tensor.storage[1]]).itemsize
        for tensor in tensors.values()
    }
    if any(size < 0 for size in sizes.values()) or sum(sizes.values()) > MOST_BYTES:
        raise ValueError(f"its tensors have {sum(sizes.values())} bytes together")
    return tensors


def _array(file: IO[bytes], kind: str, count: int) -> np.ndarray:
    dtype = np.dtype(TYPES[kind])
    if not 0 <= count * dtype.itemsize <= MOST_BYTES:
        raise ValueError(f"it names a storage of {count} values")
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError("it ends too early")
    return np.frombuffer(data, dtype)


def _values(tensor: _Tensor, storages: Mapping[str, np.ndarray]) -> np.ndarray:
    storage, strides = storages[tensor.storage[2]], tuple(tensor.strides)
    shape, offset = [int(side) for side in tensor.shape], int(tensor.offset)
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or (all(shape) and last >= len(storage)):
        raise ValueError("a tensor reaches beyond its storage")
    steps = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False).copy()
