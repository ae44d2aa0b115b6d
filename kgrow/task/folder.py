"""Reading of folders with one sub-folder of images per class."""

import dataclasses
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kgrow._checks import nearest
from kgrow.task.layout import ClassFolders, list_class_folders, read_layout
from kgrow.task.pictures import PictureError, decode, survey
from kgrow.task.stream import Chunk, Size, Source, Stream
from kgrow.task.walk import LeftOut, is_of_system
from kgrow.task.wording import list_some, printable


def open_folder(path: Path, class_names: Sequence[str] | None = None) -> Source:
    """Opens a data set of image files.

    Args:
        path: Folder with one sub-folder per class; or with the sub-folders "train" and "test" (and "validation",
            "val" or "valid"), each of which has one sub-folder per class.
        class_names: Order of the classes; None sorts the names of the sub-folders, with numbers in them sorted by
            value.

    Returns:
        Source, not decoded yet. Gray images stay gray unless one of the training images is colored.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it contains no class folders with images.
    """
    path = path.expanduser()
    check_folder(path, "source")
    layout = read_layout(path, class_names)
    found = sorted({name for split in layout.splits.values() for name in split.class_names}, key=natural_order)
    names = tuple(found) if class_names is None else tuple(class_names)
    if sorted(names, key=natural_order) != found:
        raise ValueError(f"`class_names` must be the names of the class folders, {found!r}, but got {list(names)!r}.")
    if len(found) < 2:
        reasons = " ".join(layout.notes) or "There is nothing to tell apart."
        raise ValueError(f"`source` must have at least 2 classes, but got {len(found)}: {found!r}. {reasons}")
    sizes, is_colored = survey(file for file, _ in layout.splits["train"].files)
    streams = {role: _open_files(split, names, "source", is_colored) for role, split in layout.splits.items()}
    notes = [] if is_colored else ["All training images are gray: one channel."]
    if class_names is None and found != sorted(found):
        notes.append(f"Classes are in the order of the numbers in their names: {list_some(names)}.")
    return Source(
        path.resolve().name,
        dataclasses.replace(streams["train"], sizes=lambda: sizes),
        streams.get("validation"),
        streams.get("test"),
        class_names=names,
        notes=(*notes, *layout.notes),
        has_eight_bits=True,
    )


def open_class_folders(path: Path, class_names: Sequence[str] | None, argument: str) -> Stream:
    """Opens a folder given as `validation_data` or `test_data`.

    Args:
        path: Folder with one sub-folder per class.
        class_names: Names of the classes of the data set; None sorts the names of the sub-folders.
        argument: Argument of `Task.of` from which it comes.

    Returns:
        Stream over its images.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the name of a sub-folder is not a class.
    """
    check_folder(path, argument)
    left_out = LeftOut(path)
    split = list_class_folders(path, left_out, argument)
    names = tuple(class_names or sorted(split.class_names, key=natural_order))
    unknown = [name for name in split.class_names if name not in names]
    if unknown:
        raise ValueError(
            f"`{argument}` must have sub-folders named after the classes {list_some(names)}, but got "
            f"{list_some(unknown)}."
        )
    is_colored = survey(file for file, _ in split.files)[1]
    remarks = [f"`{argument}`: {note}" for note in left_out.notes()]
    return dataclasses.replace(_open_files(split, names, argument, is_colored), remarks=remarks)


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Returns a sort key that puts "2" before "10", as in a file manager."""
    parts = re.split("([0-9]+)", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def check_folder(path: Path, argument: str) -> None:
    """Raises an error that says what to do if a path is not a folder.

    Args:
        path: Given path.
        argument: Argument of `Task.of` from which it comes.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it is a file, or the top of a file system.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"`{argument}` must be an existing folder, but got {str(path)!r}. {suggest(path)}".strip()
        )
    if not path.is_dir():
        unzip = shlex.join(["python", "-m", "zipfile", "-e", str(path), str(path.with_suffix(""))])
        command = f": `{printable(unzip)}`" if path.suffix.lower() == ".zip" else ""
        raise ValueError(
            f"`{argument}` must be a folder with one sub-folder of images per class, but got the file {str(path)!r}. "
            f"Unpack an archive first{command}."
        )
    if is_of_system(path):
        raise ValueError(
            f"`{argument}` must be a folder with one sub-folder of images per class, but got {str(path)!r}, which "
            "holds the whole system. Give the folder of the images."
        )


def suggest(path: Path) -> str:
    """Returns a question with the most similar name beside a path, or an empty string.

    Args:
        path: Path that does not exist.
    """
    try:
        return nearest(path.name, [child.name for child in path.parent.iterdir() if not child.name.startswith(".")])
    except OSError:
        return ""


def _open_files(split: ClassFolders, class_names: Sequence[str], argument: str, is_colored: bool) -> Stream:
    indices = {name: index for index, name in enumerate(class_names)}
    skipped: dict[str, str] = {}

    def read(size: Size | None = None) -> Iterator[Chunk]:
        skipped.clear()
        for file, class_name in split.files:
            try:
                image = decode(file, is_colored, size)
            except PictureError as error:
                skipped[file.relative_to(split.path).as_posix()] = str(error)
                continue
            yield image[np.newaxis], np.array([indices[class_name]])

    return Stream(
        read,
        argument,
        len(split.files),
        lambda: survey(file for file, _ in split.files)[0],
        skipped,
        read_near=read,
    )
