"""Conversion of pixels of any type and size to one form."""

from typing import Any

import numpy as np

# Larger images do not suit a small classifier, and a typing error must not request terabytes.
SMALLEST_SIDE, LARGEST_SIDE = 4, 2048
MOST_CHANNELS = 4
USUAL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0))
SMALLEST_PART = 0.25


def as_pixels(images: Any, argument: str = "source") -> np.ndarray:
    """Converts a batch of images to raw pixels.

    Args:
        images: Numbers, `(n, height, width)` or `(n, height, width, channels)`.
        argument: Argument of `Task.of` from which they come.

    Returns:
        `(n, height, width, channels)`: uint8 if every value is a whole number in 0..255, else float32.

    Raises:
        TypeError: If they are not real numbers.
        ValueError: If the shape is not that of a batch of images.
    """
    images = np.asarray(images)
    if images.dtype.kind not in "buif":
        raise TypeError(
            f"`{argument}` must hold images of integers or floats, but got {images.dtype}. "
            "Decode or cast the images first, and give all of them one shape."
        )
    if images.ndim == 3:
        images = images[..., np.newaxis]
    check_image_shape(images.shape, argument)
    return _narrow(images)


def check_image_shape(shape: tuple[int, ...], argument: str = "source") -> None:
    """Raises an error for a shape that is not a batch of images.

    Args:
        shape: Shape of the batch, channels included.
        argument: Argument of `Task.of` from which it comes.

    Raises:
        ValueError: If the rank or the number of channels is wrong.
    """
    if len(shape) != 4:
        raise ValueError(
            f"`{argument}` must hold images (num_examples, height, width) or (num_examples, height, width, channels), "
            f"but got the shape {shape}. Reshape flat vectors into images."
        )
    if shape[3] > MOST_CHANNELS:
        hint = (
            "They seem to be channels first: use `numpy.moveaxis(images, 1, -1)`."
            if shape[1] <= MOST_CHANNELS
            else "The channels come last: (num_examples, height, width, channels)."
        )
        raise ValueError(f"`{argument}` must hold images of at most 4 channels, but got the shape {shape}. {hint}")
    if 0 in shape[1:]:
        raise ValueError(f"`{argument}` must hold images with pixels, but got the shape {shape}.")


def check_image_size(shape: tuple[int, ...], argument: str = "source") -> None:
    """Raises an error for images too small for a convolution.

    Args:
        shape: Shape of the batch.
        argument: Argument of `Task.of` from which it comes.

    Raises:
        ValueError: If a side is below 4 pixels.
    """
    if min(shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"`{argument}` must hold images of at least 4x4 pixels, but got {shape[1]}x{shape[2]}. "
            "Pass a larger `image_size` to enlarge them."
        )


def _narrow(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind == "b":
        return images.astype(np.uint8)
    if images.size and images.min() >= 0 and images.max() <= 255:
        whole = images.astype(np.uint8)
        if np.array_equal(whole, images):
            return whole
    with np.errstate(over="ignore"):
        return images.astype(np.float32)


def common_channels(first: int, second: int) -> int | None:
    """Returns the common number of channels of gray, colored or colored and transparent images.

    Args:
        first: Number of channels of some images.
        second: Number of channels of others.

    Returns:
        Number of channels of both together: color has priority over gray, and over transparency. None if they do not
        fit.
    """
    if first == second:
        return first
    return 3 if {first, second} <= {1, 3, 4} else None


def as_colored(images: np.ndarray) -> np.ndarray:
    """Converts images to three channels: gray is repeated, transparent pixels become white.

    Args:
        images: Images, uint8 or float32 `(n, height, width, channels)` with 1, 3 or 4 channels.

    Returns:
        Images of the same type `(n, height, width, 3)`.
    """
    if images.shape[3] == 1:
        return np.repeat(images, 3, axis=3)
    if images.shape[3] == 3:
        return images
    high = 255.0 if images.dtype == np.uint8 else usual_range(0.0, float(images.max()))[1]
    opacity = images[..., 3:].astype(np.float32) / np.float32(high)
    mixed = images[..., :3] * opacity + np.float32(high) * (1 - opacity)
    return (np.round(mixed) if images.dtype == np.uint8 else mixed).astype(images.dtype)


def usual_range(low: float, high: float) -> tuple[float, float]:
    """Returns the intended range of pixels, which they need not reach.

    Args:
        low: Smallest pixel.
        high: Largest pixel.

    Returns:
        The first of [0, 1], [-1, 1], [0, 255] and [0, 65535] that contains both, if they span a quarter of it or more;
        otherwise the range that they span, such as [0, 16].
    """
    for least, most in USUAL_RANGES:
        if least <= low and high <= most and high - low >= SMALLEST_PART * (most - least):
            return least, most
    return low, high


def resize(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes images, bilinear and antialiased.

    Args:
        images: Images, uint8 or float32 `(n, height, width, channels)`.
        size: New height and width.

    Returns:
        Resized images of the same type.
    """
    from PIL import Image

    resized = np.empty((len(images), *size, images.shape[3]), images.dtype)
    as_one = images.dtype == np.uint8 and images.shape[3] == 3
    for target, image in zip(resized, images, strict=True):
        # Pillow resizes four channels as colors multiplied by their alpha, so all but RGB goes channel by channel.
        planes = [...] if as_one else [(..., channel) for channel in range(images.shape[3])]
        for plane in planes:
            picture = Image.fromarray(np.ascontiguousarray(image[plane]))
            target[plane] = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return resized
