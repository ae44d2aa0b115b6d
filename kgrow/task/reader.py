"""Reads streams into one collector, checking every chunk."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kgrow.task.collector import PixelCollector
from kgrow.task.labels import as_labels
from kgrow.task.pixels import as_pixels, check_image_size, resize
from kgrow.task.scale import Scale, compare_scales
from kgrow.task.stream import Size, Stream
from kgrow.task.wording import counted, list_some, times


@dataclass
class _Tally:
    """What is known of the stream being read."""

    stream: Stream
    labels: list[np.ndarray] = field(default_factory=list)
    num_read: int = 0
    not_finite: list[int] = field(default_factory=list)
    scale: Scale = field(default_factory=Scale)


class StreamReader:
    """Reads streams, "train" first, into one collector, so that all splits share shape, type, scale and budget.

    Args:
        collector: Receives the pixels.
        size: Height and width of every image; None takes those of the first one.
        is_resizing: Whether images of another size are resized in every stream; else only where sizes may differ.
    """

    def __init__(self, collector: PixelCollector, size: Size | None, is_resizing: bool) -> None:
        self.num_resized = 0
        self.num_classes = 0
        self.doubts: list[str] = []
        self.image_shape: tuple[int, ...] = ()
        self._collector = collector
        self._size = size
        self._is_resizing = is_resizing
        self._train_scale: Scale | None = None

    def read(self, stream: Stream) -> np.ndarray:
        """Reads a stream to its end.

        Args:
            stream: Split to append to the collector.

        Returns:
            Class indices of its examples, int64 `(num_examples,)`.

        Raises:
            ValueError: If it holds no example, or pixels that are not finite or on another scale than those read first,
                or labels that are no class indices.
        """
        tally = _Tally(stream)
        for images, labels in stream.read():
            self._read_chunk(images, labels, tally)
        _check_tally(tally)
        self._train_scale = self._train_scale or tally.scale
        doubt = compare_scales(self._train_scale, tally.scale, stream.argument)
        if doubt:
            self.doubts.append(doubt)
        return np.concatenate(tally.labels)

    def _read_chunk(self, images: Any, labels: Any, tally: _Tally) -> None:
        argument = tally.stream.argument
        indices, width = as_labels(labels, argument, tally.num_read)
        pixels = as_pixels(images, argument)
        if len(pixels) != len(indices):
            raise ValueError(
                f"`{argument}` must have one label per image, but got {counted(len(pixels), 'image')} "
                f"and {counted(len(indices), 'label')}."
            )
        if not len(pixels):
            return
        tally.not_finite.extend(tally.num_read + _find_not_finite(pixels))
        # Bad pixels end in an error, but the whole stream is read first: the error tells how many there are.
        if not tally.not_finite:
            pixels = self._fit(pixels, tally.stream)
            self._collector.append(pixels)
            tally.scale.add(pixels)
        tally.labels.append(indices)
        tally.num_read += len(indices)
        self.num_classes = max(self.num_classes, width, int(indices.max()) + 1)

    def _fit(self, pixels: np.ndarray, stream: Stream) -> np.ndarray:
        height, width = self._size or pixels.shape[1:3]
        self._size = height, width
        if pixels.shape[1:3] != self._size and (self._is_resizing or stream.sizes is not None):
            self.num_resized += len(pixels)
            pixels = resize(pixels, self._size)
        if not self.image_shape:
            check_image_size(pixels.shape, stream.argument)
            self.image_shape = pixels.shape[1:]
        if pixels.shape[3] == 1 and self.image_shape[2] == 3:
            pixels = np.repeat(pixels, 3, axis=3)
        if pixels.shape[1:] != self.image_shape:
            raise ValueError(
                f"`{stream.argument}` must hold images that all have the shape of the first one, "
                f"{times(self.image_shape)}, but got {times(pixels.shape[1:])}. Pass `image_size` to resize them; "
                "their channels must agree beforehand."
            )
        return pixels


def _find_not_finite(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return np.empty(0, np.int64)
    return np.flatnonzero(~np.isfinite(pixels).all(axis=(1, 2, 3)))


def _check_tally(tally: _Tally) -> None:
    stream = tally.stream
    if not tally.num_read:
        skipped = f" Not readable were {counted(len(stream.skipped), 'file')}: {list_some(stream.skipped)}."
        raise ValueError(
            f"`{stream.argument}` must hold at least one image, but got none.{skipped if stream.skipped else ''}"
        )
    if tally.not_finite:
        raise ValueError(
            f"`{stream.argument}` must hold finite pixels, but got {counted(len(tally.not_finite), 'image')} with NaN, "
            f"infinity or values beyond float32, the first at index {tally.not_finite[0]}. "
            "Repair or leave out these images."
        )
