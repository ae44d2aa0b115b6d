"""JSON texts and named arrays with metadata, as bytes. Damaged input raises an error that names the file."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from kgrow._schema import decoded, is_nested

_HEADER = "__metadata__"
_MOST_LEVELS = 100  # most levels of a JSON document; kgrow writes about twelve
_ARRAY_KINDS = "biufcSU"


def encode_json(value: Any, name: str, indent: int | None = None) -> bytes:
    """Returns a value as JSON, on one line or as an indented file; keys keep their order.

    Args:
        value: Plain values; NumPy numbers, arrays and paths are allowed.
        name: Name used in the message.
        indent: Spaces per level; without it the text is one line without a newline.

    Raises:
        ValueError: If it contains NaN, infinity, a cycle or a value that JSON cannot represent.
    """
    try:
        text = json.dumps(value, indent=indent, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must hold plain values and finite numbers, but got an error: {error}. "
            "JSON has no NaN and no infinity: leave such a value out or pass None."
        ) from error
    return (text if indent is None else text + "\n").encode()


def decode_json(data: bytes, name: str, kind: Any = Any) -> Any:
    """Returns the value of a JSON text.

    Args:
        data: JSON text.
        name: Name used in the message.
        kind: Expected type; see `kgrow._schema.decoded`.

    Raises:
        ValueError: If it is damaged or has another type; the message names the field.
    """
    try:
        return decoded(kind, _parsed(data))
    except ValueError as error:
        raise _damaged(name, error) from error


def is_json(line: bytes) -> bool:
    """Returns whether a text is JSON."""
    try:
        _parsed(line)
    except ValueError:
        return False
    return True


def encode_arrays(arrays: Mapping[str, Any], metadata: Mapping[str, Any]) -> bytes:
    """Returns named arrays and their metadata as an uncompressed `.npz` file; equal input gives equal bytes.

    Args:
        arrays: Arrays of numbers, booleans or strings, by name; the order is kept.
        metadata: Plain values, stored as JSON.
    """
    header = encode_json({"names": list(arrays), "metadata": metadata}, "metadata")
    # Write to memory first: a zip file that a full disk truncates fails a second time when it is garbage-collected.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add_array(archive, _HEADER, np.frombuffer(header, np.uint8))
        for name, array in arrays.items():
            _add_array(archive, name, _checked(name, np.asanyarray(array)))
    return buffer.getvalue()


def decode_arrays(data: bytes, name: str, kind: Any = Any) -> tuple[dict[str, np.ndarray], Any]:
    """Returns the arrays and the metadata of an encoded file.

    Args:
        data: File content.
        name: Name used in the message.
        kind: Expected type of the metadata; see `kgrow._schema.decoded`.

    Raises:
        ValueError: If it is damaged or has another type; the message names the field.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = decoded({"names": [str], "metadata": Any}, _parsed(_read_array(archive, _HEADER).tobytes()))
            arrays = {key: _read_array(archive, key) for key in header["names"]}
        return arrays, decoded(kind, header["metadata"])
    except Exception as error:  # zipfile and NumPy raise many types of errors on damaged bytes
        raise _damaged(name, error) from error


def _parsed(data: bytes) -> Any:
    try:
        value = json.loads(data, parse_constant=_no_number)
        is_deep = is_nested(value, _MOST_LEVELS)
    except RecursionError:
        is_deep = True
    if is_deep:
        raise ValueError(f"It must have at most {_MOST_LEVELS} levels, but has more.")
    return value


def _no_number(text: str) -> None:
    raise ValueError(f"JSON has no {text}.")


def _damaged(name: str, error: Exception) -> ValueError:
    reason = str(error).rstrip(".") or type(error).__name__
    return ValueError(f"{name} is damaged: {reason}. Start the run over (`overwrite=True`, or another `directory`).")


def _plain(value: object) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} {value!r} is no plain value")


def _checked(name: str, array: np.ndarray) -> np.ndarray:
    # bfloat16 has kind "V": NumPy's format would silently return it as raw bytes.
    if array.dtype.kind not in _ARRAY_KINDS:
        raise ValueError(f"`arrays[{name!r}]` must hold numbers, booleans or strings, but got dtype {array.dtype}.")
    if name == _HEADER:
        raise ValueError(f"`arrays` must not use the name {_HEADER!r}, but got it. It is the place of the metadata.")
    return array


def _add_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue())


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED:  # kgrow compresses nothing; bytes could become gigabytes
        raise ValueError(f"{name!r} is compressed")
    return np.lib.format.read_array(io.BytesIO(archive.read(entry)), allow_pickle=False)
