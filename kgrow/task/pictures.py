"""Opening and decoding of single image files, within memory bounds."""

import contextlib
import functools
import importlib
import importlib.util
import struct
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kgrow.task.stream import Size

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
HEIF_SUFFIXES = (".heic", ".heif")
HEIF_PACKAGE = "pillow_heif"
# Pillow uses four bytes a pixel, and holds the picture two or three times while its mode is changed.
MOST_PIXELS = 64_000_000
# The chroma of a gray JPEG is off by a few steps after its round trip through YCbCr.
GRAY_TOLERANCE = 8
EXIF_ORIENTATION = 0x0112
# Pictures are decoded at no less than twice their final size, so that the last step is still antialiased.
REDUCING_GAP = 2
STRIP_PIXELS = 2**20
SURVEYED = (96, 96)
UNREADABLE = "that could not be read"
TOO_LARGE = f"of more than {MOST_PIXELS // 10**6} megapixels"
NOT_EIGHT_BITS = "of floating-point pixels"


class PictureError(ValueError):
    """An error for an unusable image file; its text continues after "image file"."""


@functools.cache
def suffixes() -> tuple[str, ...]:
    """Returns the suffixes of the readable files; HEIC only if `pillow-heif` is installed."""
    return (*SUFFIXES, *(HEIF_SUFFIXES if importlib.util.find_spec(HEIF_PACKAGE) else ()))


@functools.cache
def _formats() -> tuple[str, ...]:
    if suffixes() == SUFFIXES:
        return FORMATS
    importlib.import_module(HEIF_PACKAGE).register_heif_opener()
    return (*FORMATS, "HEIF")


def survey(files: Iterable[Path]) -> tuple[list[Size], bool]:
    """Examines image files before any is kept.

    Only their headers are read, except for the files decoded until a colored one is found.

    Args:
        files: Image files.

    Returns:
        Height and width of every usable image, and whether one of them is colored.
    """
    sizes, is_colored = [], False
    for file in files:
        with contextlib.suppress(PictureError), _opened(file) as image:
            size = image.size if _is_turned(image) else image.size[::-1]
            _bound(image, SURVEYED)
            is_colored = is_colored or _is_colored(image)
            sizes.append(size)
    return sizes, is_colored


def decode(file: Path, is_colored: bool, size: Size | None = None) -> np.ndarray:
    """Decodes one image file.

    Transparent pixels become white, 16 bits become 8, an animation gives its first picture, and the orientation
    recorded by the camera is applied.

    Args:
        file: Image file.
        is_colored: Whether to return three channels instead of one.
        size: Final height and width after a later resize; the picture is decoded to at least twice that. None decodes
            all pixels.

    Returns:
        uint8 `(height, width, 3)` or `(height, width, 1)`.

    Raises:
        PictureError: If it cannot be read, or only with too much memory.
    """
    from PIL import ImageOps

    with _opened(file) as image:
        _bound(image, size)
        ImageOps.exif_transpose(image, in_place=True)
        return _pixels(image, is_colored, size)


def is_picture(value: object) -> bool:
    """Returns whether a value is a `PIL.Image.Image`, without importing Pillow.

    Args:
        value: Any value.
    """
    return "PIL.Image" in sys.modules and isinstance(value, sys.modules["PIL.Image"].Image)


def from_picture(image: Any) -> np.ndarray:
    """Converts a Pillow picture in the same way as `decode`; the result is colored unless its mode is gray.

    Args:
        image: `PIL.Image.Image`.

    Returns:
        uint8 `(height, width, 3)` or `(height, width, 1)`; float32 for floating-point pixels.
    """
    from PIL import ImageOps

    if image.mode == "F":
        return np.asarray(image)[..., np.newaxis]
    return _pixels(ImageOps.exif_transpose(image), not _has_gray_mode(image))


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=_formats()) as image:
                yield image
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(TOO_LARGE) from error
    # Exceptions of Pillow's decoders for damaged files; `UnidentifiedImageError` is an OSError.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error) as error:
        raise PictureError(UNREADABLE) from error


def _is_turned(image: Any) -> bool:
    # The EXIF data of a PNG may follow its pixels: reading it decodes them. Pillow rotates a TIFF itself.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return False
    return image.getexif().get(EXIF_ORIENTATION, 1) in (5, 6, 7, 8)


def _bound(image: Any, size: Size | None) -> None:
    """Sets a JPEG to be decoded at a fraction of its size, and rejects a picture that is still too large."""
    # All coefficients of a progressive JPEG are held in memory, at any decoded size.
    if size is not None and not image.info.get("progressive"):
        side = REDUCING_GAP * max(size)
        image.draft(None, (side, side))
    if image.width * image.height > MOST_PIXELS:
        raise PictureError(TOO_LARGE)


def _reduced(image: Any, size: Size | None) -> Any:
    factor = 1 if size is None else min(image.size) // (REDUCING_GAP * max(size))
    return image.reduce(factor) if factor > 1 else image


def _with_eight_bits(image: Any) -> Any:
    """Returns a picture without a palette, with transparency in a separate channel, and 8 bits per channel."""
    from PIL import Image

    if image.mode == "F":
        raise PictureError(NOT_EIGHT_BITS)
    if image.mode.startswith("I"):
        return Image.fromarray(((np.asarray(image).astype(np.int32).clip(0, 65535) + 128) // 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return image.convert("RGBA")
    return image if _has_gray_mode(image) and image.mode != "1" else image.convert("L" if image.mode == "1" else "RGB")


def _on_white(image: Any) -> Any:
    from PIL import Image

    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image)


def _pixels(image: Any, is_colored: bool, size: Size | None = None) -> np.ndarray:
    reduced = _on_white(_reduced(_with_eight_bits(image), size))
    pixels = np.asarray(reduced.convert("RGB" if is_colored else "L"))
    return pixels if is_colored else pixels[..., np.newaxis]


def _has_gray_mode(image: Any) -> bool:
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


def _is_colored(image: Any) -> bool:
    if _has_gray_mode(image):
        return False
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels = np.asarray(_on_white(_with_eight_bits(strip)).convert("RGB")).astype(np.int16)
        if (pixels.max(axis=2) - pixels.min(axis=2)).max() > GRAY_TOLERANCE:
            return True
    return False
