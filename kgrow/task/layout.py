"""Detection of the folders that are splits, classes, or neither."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kgrow.task.pictures import suffixes
from kgrow.task.walk import EMPTY, LOOSE, LeftOut, list_images
from kgrow.task.wording import list_some

SPLIT_FOLDERS = {
    "train": ("train",),
    "validation": ("validation", "val", "valid"),
    "test": ("test",),
}
SPLIT_NAMES = tuple(itertools.chain(*SPLIT_FOLDERS.values()))
UNLABELLED = ("folder", "of images without a class")
LIKE_A_SPLIT = "(^|[^a-z])(train|test|val|valid|validation|eval|pred|predict)(ing|[^a-z]|$)"


@dataclass(frozen=True)
class ClassFolders:
    """The image files of one split.

    Args:
        path: Folder that contains the class folders.
        files: Image files and the names of their classes, sorted.
        class_names: Names of the class folders that contain images, sorted.
    """

    path: Path
    files: tuple[tuple[Path, str], ...]
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """The content of a folder.

    Args:
        splits: Image files by role; "train" always exists.
        notes: Notes about files left out and decisions made.
    """

    splits: dict[str, ClassFolders]
    notes: tuple[str, ...]


def read_layout(path: Path, class_names: Sequence[str] | None = None) -> Layout:
    """Finds the splits and classes below a folder, without opening an image.

    Args:
        path: Folder with one sub-folder per class; or with such folders for "train", "test" and "validation"; or with
            only one folder that is either.
        class_names: Known names of classes.

    Raises:
        ValueError: If no sub-folder contains an image, or the names of splits would become the classes.
    """
    left_out, notes = LeftOut(path), []
    *above, top = _descend(path)
    if above:
        notes.append(f"Read the classes in {top.relative_to(path).as_posix()!r}, the only folder with images.")
    folders = _folders_with_images(top)
    roles = _find_splits(folders, left_out)
    for level in [*above, top] if roles else above:
        _name_empty(level, left_out)
        _name_loose(level, left_out)
    if not roles:
        _check_no_split(top, folders, class_names)
        notes.extend(_doubts(folders))
    splits = {role: list_class_folders(folder, left_out) for role, folder in (roles or {"train": top}).items()}
    return Layout(splits, (*left_out.notes(), *notes))


def list_class_folders(path: Path, left_out: LeftOut, argument: str = "source") -> ClassFolders:
    """Lists the image files below a folder, without opening them.

    Args:
        path: Folder with one sub-folder per class; images may be at any depth below those.
        left_out: Collector of files that are not images or cannot be read.
        argument: Argument of `Task.of` from which it comes.

    Returns:
        The files with their classes.

    Raises:
        ValueError: If no sub-folder contains an image.
    """
    files, names = [], []
    for folder in _list_folders(path):
        found = sorted(list_images(folder, left_out))
        if found:
            names.append(folder.name)
            files += [(file, folder.name) for file in found]
        else:
            left_out.add(*EMPTY, folder)
    if not files:
        loose = any(_loose_images(path))
        found_what = "an empty folder" if not any(path.iterdir()) else "no image in any sub-folder"
        hint = " The images directly in it have no class: move them into sub-folders." if loose else ""
        raise ValueError(
            f"`{argument}` must be a folder with one sub-folder of images per class, but got {found_what}: "
            f"{str(path)!r}. Images are read from {', '.join(suffix[1:].upper() for suffix in suffixes())} files."
            f"{hint}{' '.join(['', *left_out.notes()])}"
        )
    _name_loose(path, left_out)
    return ClassFolders(path, tuple(files), tuple(names))


def holds_classes(path: Path) -> bool:
    """Returns whether a folder contains an image in one of its sub-folders.

    Args:
        path: Existing folder.
    """
    return bool(_folders_with_images(path))


def _list_folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _holds_image(folder: Path) -> bool:
    return next(list_images(folder, LeftOut(folder.parent)), None) is not None


def _folders_with_images(path: Path) -> list[Path]:
    return [folder for folder in _list_folders(path) if _holds_image(folder)]


def _loose_images(path: Path) -> list[Path]:
    return sorted(
        file for file in path.iterdir() if file.suffix.lower() in suffixes() and not file.name.startswith(".")
    )


def _descend(path: Path) -> list[Path]:
    """Returns the folders from `path` to the first with several sub-folders of images; `path` alone if none has."""
    levels, folders = [path], _folders_with_images(path)
    while len(folders) == 1 and not _is_split_name(folders[0]) and not _loose_images(folders[0]):
        levels.append(folders[0])
        folders = _folders_with_images(folders[0])
    return levels if len(folders) > 1 or any(map(_is_split_name, folders)) else [path]


def _is_split_name(folder: Path) -> bool:
    return folder.name.lower() in SPLIT_NAMES


def _name_empty(path: Path, left_out: LeftOut) -> None:
    for folder in _list_folders(path):
        if not _holds_image(folder):
            list(list_images(folder, left_out))
            left_out.add(*EMPTY, folder)


def _name_loose(path: Path, left_out: LeftOut) -> None:
    for file in _loose_images(path):
        left_out.add(*LOOSE, file)


def _find_splits(folders: Sequence[Path], left_out: LeftOut) -> dict[str, Path]:
    named = {folder.name.lower(): folder for folder in folders}
    splits = {role: named[name] for role, names in SPLIT_FOLDERS.items() for name in names if name in named}
    # Two names may differ only in case: none of them is left out.
    if "train" not in splits or len(splits) != len(folders):
        return {}
    classes = {role: {folder.name for folder in _folders_with_images(split)} for role, split in splits.items()}
    labeled = {
        role: split
        for role, split in splits.items()
        if len(classes[role]) > 1 or (classes[role] and classes[role] <= classes["train"])
    }
    if len(labeled) == len(splits) or len(classes["train"]) > 1:
        for role in splits.keys() - labeled.keys():
            left_out.add(*UNLABELLED, splits[role])
        return labeled
    return {}


def _check_no_split(path: Path, folders: Sequence[Path], class_names: Sequence[str] | None) -> None:
    """Raises ValueError if folders look like splits with other names: their names would become the classes."""
    inner = {folder.name: {child.name for child in _list_folders(folder)} for folder in folders}
    training = [name for name in inner if "train" in name.lower() and len(inner[name]) > 1]
    others = [name for name in inner if re.search("train|test|val", name.lower())]
    for one, other in itertools.product(training, others):
        is_flat = not inner[other] and re.search(LIKE_A_SPLIT, other.lower())
        if one != other and (inner[one] == inner[other] or is_flat):
            raise ValueError(
                f"`source` must be a folder with one sub-folder per class, or with the sub-folders 'train', 'test' and "
                f"'validation' alone, but {one!r} and {other!r} in {str(path)!r} hold "
                f"{'images without a class' if is_flat else 'the same sub-folders'}. Rename the splits and move "
                "anything else out, or pass one folder and the other as `test_data`."
            )
    names = [folder.name for folder in folders]
    if len(names) > 1 and class_names is None and all(re.search(LIKE_A_SPLIT, name.lower()) for name in names):
        raise ValueError(
            f"`source` must be a folder with one sub-folder of images per class, but those in {str(path)!r} are named "
            f"like splits: {list_some(names)}. Sort the training images into 'train/<class>'; if these are the "
            "classes, pass their names as `class_names`."
        )


def _doubts(folders: Sequence[Path]) -> list[str]:
    """Returns a note that the classes may be one level deeper."""
    inner = [{child.name for child in _folders_with_images(folder)} for folder in folders]
    if len(inner) < 2 or len(inner[0]) < 2 or any(names != inner[0] for names in inner):
        return []
    if any(map(_loose_images, folders)):
        return []
    return [
        f"Every class holds the same sub-folders, {list_some(sorted(inner[0]))}: if these are the classes, give one of "
        f"the folders {list_some([folder.name for folder in folders])} alone."
    ]
