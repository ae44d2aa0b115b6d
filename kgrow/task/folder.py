"""Reads folders with one sub-folder of images per class."""

import dataclasses
import itertools
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgrow.task.stream import Chunk, Size, Source, Stream
from kgrow.task.wording import counted, list_some

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
SPLIT_FOLDERS = {
    "train": ("train",),
    "validation": ("validation", "val", "valid"),
    "test": ("test",),
}
# The chroma of a gray JPEG is off by a few steps after its round trip through YCbCr.
GRAY_TOLERANCE = 8
EXIF_ORIENTATION = 0x0112


@dataclasses.dataclass(frozen=True)
class ClassFolders:
    """The image files of one split.

    Args:
        path: Folder that holds the class folders.
        files: Image files and the names of their classes, sorted.
        num_others: Files that are no images by their suffix.
    """

    path: Path
    files: tuple[tuple[Path, str], ...]
    class_names: tuple[str, ...]
    num_others: int


def open_folder(path: Path, class_names: Sequence[str] | None = None) -> Source:
    """Opens a data set of image files.

    Args:
        path: Folder with one sub-folder per class; or with the sub-folders "train" and "test" (and "validation",
            "val" or "valid"), each of which has one sub-folder per class.
        class_names: Order of the classes; None sorts the names of the sub-folders, the numbers in them by value.

    Returns:
        Source, not decoded yet. Gray images stay gray unless one of the training images is coloured.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no class folders with images.
    """
    path = path.expanduser()
    _check_folder(path, "source")
    listed = {role: list_class_folders(folder) for role, folder in _find_splits(path).items()}
    found = sorted({name for split in listed.values() for name in split.class_names}, key=natural_order)
    names = tuple(found) if class_names is None else tuple(class_names)
    if sorted(names, key=natural_order) != found:
        raise ValueError(f"`class_names` must be the names of the class folders, {found!r}, but got {list(names)!r}.")
    sizes, is_coloured = survey(listed["train"].files)
    streams = {role: _open_files(split, names, "source", is_coloured) for role, split in listed.items()}
    notes = [] if is_coloured else ["All training images are gray: one channel."]
    if class_names is None and found != sorted(found):
        notes.append(f"Classes are in the order of the numbers in their names: {list_some(names)}.")
    num_others = sum(split.num_others for split in listed.values())
    if num_others:
        notes.append(f"Left out {counted(num_others, 'file')} without the suffix of an image.")
    return Source(
        path.resolve().name,
        dataclasses.replace(streams["train"], sizes=lambda: sizes),
        streams.get("validation"),
        streams.get("test"),
        class_names=names,
        notes=tuple(notes),
        has_eight_bits=True,
    )


def open_class_folders(path: Path, class_names: Sequence[str] | None, argument: str) -> Stream:
    """Opens a folder given as `validation_data` or `test_data`.

    Args:
        path: Folder with one sub-folder per class.
        class_names: Names of the classes of the data set; None sorts the names of the sub-folders.
        argument: Argument of `Task.of` it came from.

    Returns:
        Stream over its images.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If a sub-folder bears the name of no class.
    """
    _check_folder(path, argument)
    split = list_class_folders(path, argument)
    names = tuple(class_names or sorted(split.class_names, key=natural_order))
    unknown = [name for name in split.class_names if name not in names]
    if unknown:
        raise ValueError(
            f"`{argument}` must have sub-folders named after the classes {list_some(names)}, but got "
            f"{list_some(unknown)}."
        )
    return _open_files(split, names, argument, survey(split.files)[1])


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Returns what to sort names by so that "2" comes before "10", as in a file manager."""
    parts = re.split("([0-9]+)", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def list_class_folders(path: Path, argument: str = "source") -> ClassFolders:
    """Lists the image files below a folder, without opening them.

    Args:
        path: Folder with one sub-folder per class; images may lie at any depth below those.
        argument: Argument of `Task.of` it came from.

    Returns:
        The files with their classes.

    Raises:
        ValueError: If no sub-folder holds an image.
    """
    folders = _list_folders(path)
    files, num_others = [], 0
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if not file.is_file() or any(part.startswith(".") for part in file.relative_to(folder).parts):
                continue
            if file.suffix.lower() in SUFFIXES:
                files.append((file, folder.name))
            else:
                num_others += 1
    if not files:
        loose = any(file.suffix.lower() in SUFFIXES for file in path.iterdir())
        found = "an empty folder" if not any(path.iterdir()) else "no image in any sub-folder"
        hint = " The images directly in it have no class: move them into sub-folders." if loose else ""
        raise ValueError(
            f"`{argument}` must be a folder with one sub-folder of images per class, but got {found}: {str(path)!r}. "
            f"Images are read from {', '.join(suffix[1:].upper() for suffix in SUFFIXES)} files.{hint}"
        )
    return ClassFolders(path, tuple(files), tuple(folder.name for folder in folders), num_others)


def survey(files: Sequence[tuple[Path, str]]) -> tuple[list[Size], bool]:
    """Looks at image files before any is kept.

    Only their headers are read, save for as many as it takes to find a coloured one.

    Args:
        files: Image files with their classes.

    Returns:
        Height and width of every readable image, and whether one of them is coloured.
    """
    sizes, is_coloured = [], False
    for file, _ in files:
        try:
            with _open_image(file) as image:
                is_turned = image.getexif().get(EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
                sizes.append(image.size if is_turned else image.size[::-1])
                is_coloured = is_coloured or _is_coloured(image)
        except _decoding_errors():
            continue
    return sizes, is_coloured


def decode(file: Path, is_coloured: bool) -> np.ndarray:
    """Decodes one image file.

    Transparent pixels become white, 16 bits become 8, an animation gives its first picture, and the orientation that a
    camera noted is followed.

    Args:
        file: Image file.
        is_coloured: Whether to give three channels instead of one.

    Returns:
        uint8 `(height, width, 3)` or `(height, width, 1)`.
    """
    from PIL import ImageOps

    with _open_image(file) as image:
        pixels = np.asarray(_flatten(ImageOps.exif_transpose(image)).convert("RGB" if is_coloured else "L"))
    return pixels if is_coloured else pixels[..., np.newaxis]


def _open_files(split: ClassFolders, class_names: Sequence[str], argument: str, is_coloured: bool) -> Stream:
    indices = {name: index for index, name in enumerate(class_names)}
    skipped: list[str] = []

    def read() -> Iterator[Chunk]:
        skipped.clear()
        for file, class_name in split.files:
            try:
                image = decode(file, is_coloured)
            except _decoding_errors():
                skipped.append(file.relative_to(split.path).as_posix())
                continue
            yield image[np.newaxis], np.array([indices[class_name]])

    return Stream(read, argument, len(split.files), lambda: survey(split.files)[0], skipped)


def _check_folder(path: Path, argument: str) -> None:
    if not path.exists():
        raise FileNotFoundError(f"`{argument}` must be an existing folder, but got {str(path)!r}.")
    if not path.is_dir():
        raise ValueError(
            f"`{argument}` must be a folder with one sub-folder of images per class, but got the file {str(path)!r}. "
            "Unpack an archive first."
        )


def _list_folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _find_splits(path: Path) -> dict[str, Path]:
    listed = _list_folders(path)
    folders = {folder.name.lower(): folder for folder in listed}
    splits = {role: folders[name] for role, names in SPLIT_FOLDERS.items() for name in names if name in folders}
    # Two names may differ in capitals alone: none of them is left out.
    is_divided = "train" in splits and len(splits) == len(listed) and all(map(_list_folders, splits.values()))
    if not is_divided:
        _check_no_split(path, listed)
    return splits if is_divided else {"train": path}


def _check_no_split(path: Path, folders: Sequence[Path]) -> None:
    """Raises ValueError if folders look like splits under other names: their names would become the classes."""
    inner = {folder.name: {child.name for child in _list_folders(folder)} for folder in folders}
    training = [name for name in inner if "train" in name.lower() and len(inner[name]) > 1]
    others = [name for name in inner if re.search("train|test|val", name.lower())]
    for one, other in itertools.product(training, others):
        if one != other and inner[one] == inner[other]:
            raise ValueError(
                f"`source` must be a folder with one sub-folder per class, or with the sub-folders 'train', 'test' and "
                f"'validation' alone, but '{one}' and '{other}' in {str(path)!r} hold the "
                "same sub-folders. Rename the splits and move anything else out, or pass one folder and the other as "
                "`test_data`."
            )


def _decoding_errors() -> tuple[type[BaseException], ...]:
    from PIL import Image

    # What Pillow's decoders raise on damaged files; `UnidentifiedImageError` is an OSError.
    return OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, Image.DecompressionBombError


def _open_image(file: Path) -> Any:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(file, formats=FORMATS)


def _flatten(image: Any) -> Any:
    from PIL import Image

    if image.mode.startswith("I"):
        return Image.fromarray(np.round(np.asarray(image).clip(0, 65535) / 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image)
    return image


def _is_coloured(image: Any) -> bool:
    if image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I"):
        return False
    pixels = np.asarray(_flatten(image).convert("RGB")).astype(np.int16)
    return bool((pixels.max(axis=2) - pixels.min(axis=2)).max() > GRAY_TOLERANCE)
