"""Opens whatever `Task.of` accepts: one small function per kind of source."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kgrow._checks import check_path
from kgrow.task import catalog
from kgrow.task.arrays import open_arrays
from kgrow.task.datasets import is_dataset, open_dataset
from kgrow.task.folder import open_class_folders, open_folder
from kgrow.task.split import Split
from kgrow.task.stream import Chunk, Options, Source, Stream, as_chunk

ACCEPTED = (
    "the name of a data set, (images, labels), a tf.data.Dataset, a keras.utils.Sequence or a folder with one "
    "sub-folder per class"
)


def check_source(value: Any, name: str) -> Any:
    """Returns what may be data, by its kind alone: nothing is read.

    Args:
        value: See `Task.of`.
        name: Argument the message names.

    Raises:
        TypeError: If it is none of the accepted kinds.
        ValueError: If it is a text or a path that can name nothing.
        FileNotFoundError: If it begins with "~" and the name of nobody.
    """
    from kgrow.task.task import Task  # which is made of what this module opens

    if isinstance(value, str | os.PathLike):
        try:
            Path(check_path(value, name)).expanduser()
        except ValueError:
            raise ValueError(f"`{name}` must be {ACCEPTED}, but got {value!r}.") from None
        except RuntimeError:
            raise FileNotFoundError(f"`{name}` must be {ACCEPTED}, but got {str(value)!r}: no such user.") from None
    elif not isinstance(value, Task) and not any(is_of_kind(value) for _, is_of_kind, _ in _kinds()):
        raise _unknown(value, name)
    return value


def open_source(source: Any, options: Options) -> Source:
    """Opens a data set that still has to be divided.

    Args:
        source: See `Task.of`.
        options: See `Options`.

    Returns:
        Source, not read yet.

    Raises:
        TypeError: If it is none of the accepted kinds.
    """
    if isinstance(source, str):
        return _open_text(source, options)
    if isinstance(source, os.PathLike):
        return open_folder(Path(source), options.class_names)
    if (
        isinstance(source, tuple)
        and len(source) == 2
        and all(isinstance(part, tuple) and len(part) == 2 for part in source)
    ):
        train, test = source
        return Source("arrays", _open_examples(train, "source")[1], test=_open_examples(test, "source")[1])
    kind, stream = _open_examples(source, "source")
    names = getattr(source, "class_names", None)
    return Source(kind, stream, class_names=tuple(map(str, names)) if isinstance(names, (list, tuple)) else None)


def open_split(source: Any, argument: str, class_names: tuple[str, ...] | None) -> Stream:
    """Opens a split that is given beside the data set.

    Args:
        source: As for `Task.of`, but no name of a data set.
        argument: "validation_data" or "test_data".
        class_names: Names of the classes of the data set, for a folder.

    Returns:
        Stream over the split.

    Raises:
        TypeError: If it is none of the accepted kinds.
        FileNotFoundError: If it is a path that leads nowhere.
    """
    if isinstance(source, (str, os.PathLike)):
        return open_class_folders(Path(source).expanduser(), class_names, argument)
    return _open_examples(source, argument)[1]


def is_folder(source: str) -> bool:
    """Returns whether a string names a folder, not a data set: see `Task.of`."""
    if not source:
        return False  # an empty variable of a shell, not the working directory
    has_separator = any(separator and separator in source for separator in (os.sep, os.altsep))
    is_path = has_separator or source.startswith((".", "~"))
    return Path(source).expanduser().is_dir() and (is_path or not catalog.is_known(source))


def _open_text(source: str, options: Options) -> Source:
    path = Path(source).expanduser()
    if is_folder(source):
        return open_folder(path, options.class_names)
    if not source or source.startswith((".", "~")) or path.is_absolute():
        raise FileNotFoundError(f"`source` must be {ACCEPTED}, but got {source!r}. There is no such folder.")
    return catalog.open_named(source, options)


def _open_examples(source: Any, argument: str) -> tuple[str, Stream]:
    for kind, is_of_kind, open_kind in _kinds():
        if is_of_kind(source):
            return kind, replace(open_kind(source, argument), is_ordered=False)
    raise _unknown(source, argument)


def _kinds() -> list[tuple[str, Callable[[Any], bool], Callable[[Any, str], Stream]]]:
    return [
        ("arrays", lambda value: isinstance(value, Split), _open_given_split),
        ("dataset", is_dataset, open_dataset),
        ("arrays", _is_pair, _open_pair),
        ("sequence", _is_sequence, _open_sequence),
    ]


def _unknown(source: Any, argument: str) -> TypeError:
    found = type(source).__name__
    if isinstance(source, (tuple, list)):
        found = f"{found} of {len(source)} values"
    return TypeError(f"`{argument}` must be {ACCEPTED}, but got a {found}. Arrays go in as the pair (images, labels).")


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _is_sequence(value: Any) -> bool:
    plain = (str, bytes, tuple, list, np.ndarray, Mapping)
    return hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, plain)


def _open_pair(pair: Any, argument: str) -> Stream:
    return open_arrays(pair[0], pair[1], argument)


def _open_given_split(split: Split, argument: str) -> Stream:
    return open_arrays(split.images, split.labels, argument)


def _open_sequence(sequence: Any, argument: str) -> Stream:
    def read() -> Iterator[Chunk]:
        for index in range(len(sequence)):
            yield as_chunk(sequence[index], argument)

    return Stream(read, argument)
