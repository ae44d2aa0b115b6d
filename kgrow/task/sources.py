"""Opens whatever `Task.of` accepts: one small function per kind of source."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kgrow.task import catalog
from kgrow.task.arrays import open_arrays
from kgrow.task.datasets import class_names_of, is_dataset, open_dataset
from kgrow.task.folder import open_class_folders, open_folder
from kgrow.task.split import Split
from kgrow.task.stream import Chunk, Options, Source, Stream, as_chunk
from kgrow.task.wording import list_some

ACCEPTED = (
    "the name of a data set, (images, labels), a tf.data.Dataset, a keras.utils.Sequence or a folder with one "
    "sub-folder per class"
)


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
    return Source(kind, stream, class_names=names_of(source), has_inherited_names=not hasattr(source, "class_names"))


def names_of(source: Any) -> tuple[str, ...] | None:
    """Finds the class names that a data set or a sequence carries.

    Args:
        source: As for `Task.of`, but no path or name.

    Returns:
        The names, in the order of the labels: `class_names`, or the keys of `class_indices`, which iterators of
        `flow_from_directory` have; None if there are none.
    """
    if is_dataset(source):
        return class_names_of(source)
    names, indices = getattr(source, "class_names", None), getattr(source, "class_indices", None)
    if isinstance(indices, Mapping) and sorted(indices.values()) == list(range(len(indices))):
        names = sorted(indices, key=indices.__getitem__)
    return tuple(map(str, names)) if isinstance(names, (list, tuple)) and names else None


def add_split(opened: Source, role: str, data: Any, options: Options) -> Source:
    """Adds a split that is given beside the data set, in place of the source's own.

    Args:
        opened: Opened source.
        role: "validation" or "test".
        data: As for `Task.of`, but no name of a data set.
        options: See `Options`.

    Returns:
        The source with the split.

    Raises:
        TypeError: If it is none of the accepted kinds.
        FileNotFoundError: If it is a path that leads nowhere.
        ValueError: If it carries other class names than the source, or the same in another order.
    """
    argument, names = f"{role}_data", opened.class_names
    if isinstance(data, (str, os.PathLike)):
        stream = open_class_folders(Path(data).expanduser(), options.class_names or names, argument)
    else:
        stream, own = _open_examples(data, argument)[1], names_of(data)
        if options.class_names is None and names is not None and own is not None and own != names:
            raise ValueError(
                f"`{argument}` must have the classes of the data set in the same order, {list_some(names)}, but got "
                f"{list_some(own)}: its labels mean others. Read both with the same list of classes; if the labels "
                "are numbered alike in spite of the names, pass `class_names`."
            )
    given: dict[str, Any] = {role: stream}
    return replace(opened, **given)


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
    kinds: list[tuple[str, Callable[[Any], bool], Callable[[Any, str], Stream]]] = [
        ("arrays", lambda value: isinstance(value, Split), _open_given_split),
        ("dataset", is_dataset, open_dataset),
        ("arrays", _is_pair, _open_pair),
        ("sequence", _is_sequence, _open_sequence),
    ]
    for kind, is_of_kind, open_kind in kinds:
        if is_of_kind(source):
            return kind, replace(open_kind(source, argument), is_ordered=False)
    found = type(source).__name__
    if isinstance(source, (tuple, list)):
        found = f"{found} of {len(source)} values"
    raise TypeError(f"`{argument}` must be {ACCEPTED}, but got a {found}. Arrays go in as the pair (images, labels).")


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
    remarks: list[str] = []

    def read() -> Iterator[Chunk]:
        remarks.clear()
        for index in range(len(sequence)):
            chunk = as_chunk(sequence[index], argument)
            if index == 0 and not _are_equal(chunk, as_chunk(sequence[0], argument)):
                remarks.append(
                    f"`{argument}` gives other images each time it is read. Those of this reading count, and a run on "
                    "them cannot go on later: leave random changes to `augmentation`."
                )
            yield chunk

    return Stream(read, argument, remarks=remarks)


def _are_equal(one: Chunk, other: Chunk) -> bool:
    return all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))
