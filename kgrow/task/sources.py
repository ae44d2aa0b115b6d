"""Opening of everything that `Task.of` accepts: one small function per kind of source."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kgrow._checks import check_path
from kgrow.task import catalog
from kgrow.task.arrays import open_arrays
from kgrow.task.datasets import class_names_of, is_dataset, open_dataset
from kgrow.task.folder import check_folder, open_class_folders, open_folder, suggest
from kgrow.task.layout import holds_classes
from kgrow.task.split import Divided, Split
from kgrow.task.stream import Chunk, Options, Source, Stream, as_chunk
from kgrow.task.wording import list_some

ACCEPTED = (
    "the name of a data set, (images, labels), a tf.data.Dataset, a keras.utils.Sequence or a folder with one "
    "sub-folder per class"
)


def check_source(value: Any, name: str) -> Any:
    """Returns a value that may be data, judged by its type: nothing is read.

    Args:
        value: Data; see `Task.of`.
        name: Argument name used in the message.

    Raises:
        TypeError: If it is not of an accepted type.
        ValueError: If it is a text or a path that cannot be a name.
        FileNotFoundError: If it begins with "~" and the name of an unknown user.
    """
    if isinstance(value, str | os.PathLike):
        try:
            Path(check_path(value, name)).expanduser()
        except ValueError:
            raise ValueError(f"`{name}` must be {ACCEPTED}, but got {value!r}.") from None
        except RuntimeError:
            raise FileNotFoundError(f"`{name}` must be {ACCEPTED}, but got {str(value)!r}: no such user.") from None
    elif not isinstance(value, Divided) and not any(is_of_kind(value) for _, is_of_kind, _ in _kinds()):
        raise _unknown(value, name)
    return value


def open_source(source: Any, options: Options) -> Source:
    """Opens a data set before its division into splits.

    Args:
        source: Data; see `Task.of`.
        options: Reading options; see `Options`.

    Returns:
        Source, not read yet.

    Raises:
        TypeError: If it is not of an accepted type.
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
    """Returns the class names of a data set or a sequence.

    Args:
        source: Data as for `Task.of`, but no path or name.

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
    """Adds a split that is given separately and replaces the source's own.

    Args:
        opened: Opened source.
        role: Role of the split: "validation" or "test".
        data: Data as for `Task.of`, but no name of a data set.
        options: Reading options; see `Options`.

    Returns:
        The source with the split.

    Raises:
        TypeError: If it is not of an accepted type.
        FileNotFoundError: If it is a path that does not exist.
        ValueError: If its class names differ from the source's, or have another order.
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


def check_exists(source: str, data_dir: str | os.PathLike[str] | None = None, argument: str = "source") -> None:
    """Raises an error for a string that is neither a folder nor a data set name, without importing TensorFlow.

    Args:
        source: Data; see `Task.of`.
        data_dir: Directory of TFDS; see `Task.of`.
        argument: Argument name used in the messages.

    Raises:
        ValueError: If it is neither, or could be both.
        FileNotFoundError: If it is a path that does not exist.
    """
    try:
        path = Path(source).expanduser()
    except RuntimeError:  # "~" and the name of an unknown user
        raise FileNotFoundError(f"`{argument}` must be {ACCEPTED}, but got {source!r}: no such user.") from None
    if is_folder(source, data_dir, argument):
        return
    if path.is_file() or (source and (source.startswith((".", "~")) or path.is_absolute())):
        check_folder(path, argument)
    if not source:
        raise FileNotFoundError(f"`{argument}` must be {ACCEPTED}, but got ''. There is no such folder.")
    near = suggest(path)
    try:
        catalog.check_name(source, data_dir, argument)
    except ValueError as error:
        raise ValueError(f"{error} {near}".strip()) from None


def is_folder(source: str, data_dir: str | os.PathLike[str] | None = None, argument: str = "source") -> bool:
    """Returns whether a string names a folder rather than a data set.

    A folder with the name of a data set is used if it contains class folders; kgrow's own runs and the files of
    TensorFlow Datasets are in folders of such names too.

    Args:
        source: Data; see `Task.of`.
        data_dir: Directory of TFDS; see `Task.of`.
        argument: Argument name used in the message.

    Raises:
        ValueError: If a folder of that name contains no images, and the data set of that name is not available.
    """
    if not source:
        return False  # an empty shell variable, not the working directory
    path = Path(source).expanduser()
    has_separator = any(separator and separator in source for separator in (os.sep, os.altsep))
    if not path.is_dir() or isinstance(source, catalog.DataSetName):
        return False
    if has_separator or source.startswith((".", "~")) or not catalog.is_known(source) or holds_classes(path):
        return True
    if not catalog.is_at_hand(source, data_dir):
        raise ValueError(
            f"`{argument}` must be a folder with one sub-folder of images per class, or a data set that is at hand, "
            f"but got {source!r}: a folder of that name lies here, without such sub-folders, and the data set of that "
            f"name is not prepared. Write {os.path.join('.', source)!r} for the folder; for the data set, start where "
            "no such folder lies."
        )
    return False


def _open_text(source: str, options: Options) -> Source:
    check_exists(source, options.data_dir)
    if not is_folder(source, options.data_dir):
        return catalog.open_named(source, options)
    opened = open_folder(Path(source), options.class_names)
    if not catalog.is_known(source) or Path(source).name != source:
        return opened
    note = f"Read the folder {source!r} that lies here, not the data set of that name."
    return replace(opened, notes=(note, *opened.notes))


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
