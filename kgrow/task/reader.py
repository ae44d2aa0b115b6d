"""Reading of streams into one collector, with checks of every chunk."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kgrow.task.collector import PixelCollector
from kgrow.task.labels import as_labels
from kgrow.task.pixels import as_colored, as_pixels, check_image_size, common_channels, resize
from kgrow.task.scale import Scale, compare_scales
from kgrow.task.split import slices
from kgrow.task.stream import Size, Stream
from kgrow.task.wording import counted, times

# Largest number of images of a source that does not report its size and may have no end.
MOST_IMAGES, MOST_BYTES = 5_000_000, 16 * 2**30
FIRST_WAIT_S = 3.0


@dataclass
class _Tally:
    """The state of the stream that is being read."""

    stream: Stream
    labels: list[np.ndarray] = field(default_factory=list)
    num_read: int = 0
    not_finite: list[int] = field(default_factory=list)
    scale: Scale = field(default_factory=Scale)


class StreamReader:
    """Reads streams, "train" first, into one collector, so that all splits share shape, type, scale and budget.

    Args:
        collector: Collector of the pixels.
        size: Height and width of every image; None takes those of the first one.
        is_resizing: Whether images of another size are resized in every stream, or only in streams whose sizes may
            differ.
        on_progress: Function called with a sentence during a long reading.
    """

    def __init__(
        self,
        collector: PixelCollector,
        size: Size | None,
        is_resizing: bool,
        on_progress: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.num_resized = 0
        self.num_classes = 0
        self.doubts: list[str] = []
        self.image_shape: tuple[int, ...] = ()
        self._collector = collector
        self._size = size
        self._is_resizing = is_resizing
        self._train_scale: Scale | None = None
        self._progress = _Progress(on_progress)

    def read(self, stream: Stream) -> np.ndarray:
        """Reads a stream to its end.

        Args:
            stream: Split to append to the collector.

        Returns:
            Class indices of its examples, int64 `(num_examples,)`.

        Raises:
            ValueError: If it contains no example, or pixels that are not finite or on another scale than those read
                first, or labels that are not class indices.
        """
        tally = _Tally(stream)
        for images, labels in stream.read_near(self._size) if stream.read_near and self._size else stream.read():
            self._read_chunk(images, labels, tally)
            self._check_end(tally)
            self._progress.told(stream, tally.num_read, self._collector.num_bytes)
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
        # Bad pixels raise an error, but only after the whole stream is read: the error gives their number.
        if not tally.not_finite:
            self._append(pixels, tally)
        tally.labels.append(indices)
        tally.num_read += len(indices)
        self.num_classes = max(self.num_classes, width, int(indices.max()) + 1)

    def _append(self, pixels: np.ndarray, tally: _Tally) -> None:
        """Resizes and collects images in parts: an enlarged chunk may be larger than the memory."""
        height, width = self._size or pixels.shape[1:3]
        self._size = height, width
        image_bytes = height * width * pixels.shape[3] * pixels.itemsize
        if not self.image_shape:
            self._collector.check_room((height, width, pixels.shape[3]), image_bytes)
        for rows in slices(len(pixels), max(image_bytes, pixels[0].nbytes)):
            piece = self._fit(pixels[rows], tally.stream, self._size)
            self._collector.append(piece)
            tally.scale.add(piece)

    def _fit(self, pixels: np.ndarray, stream: Stream, size: Size) -> np.ndarray:
        if pixels.shape[1:3] != size and (self._is_resizing or stream.sizes is not None):
            self.num_resized += len(pixels)
            pixels = resize(pixels, size)
        if not self.image_shape:
            check_image_size(pixels.shape, stream.argument)
            self.image_shape = pixels.shape[1:]
        pixels = self._join_channels(pixels)
        if pixels.shape[1:] != self.image_shape:
            raise ValueError(
                f"`{stream.argument}` must hold images that all have the shape of the first one, "
                f"{times(self.image_shape)}, but got {times(pixels.shape[1:])}. Pass `image_size` to resize them; "
                "their channels must agree beforehand."
            )
        return pixels

    def _join_channels(self, pixels: np.ndarray) -> np.ndarray:
        channels = common_channels(self.image_shape[2], pixels.shape[3])
        is_training = self._train_scale is None  # later streams must match the training images
        if is_training and channels == 3 != self.image_shape[2]:
            self._collector.convert(as_colored)
            self.image_shape = (*self.image_shape[:2], 3)
        return as_colored(pixels) if channels == self.image_shape[2] == 3 else pixels

    def _check_end(self, tally: _Tally) -> None:
        num_bytes = self._collector.num_bytes
        if tally.stream.has_end or (tally.num_read <= MOST_IMAGES and num_bytes <= MOST_BYTES):
            return
        raise ValueError(
            f"`{tally.stream.argument}` must end, but after {tally.num_read} images ({num_bytes / 10**6:.0f} MB) it "
            "still goes on, and does not say how many there are. Use `take(n)`; if there are that many, state their "
            "number with `apply(tf.data.experimental.assert_cardinality(n))`."
        )


class _Progress:
    """Reports the progress of reading: after some seconds, then less and less often."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._wait_s = tell, FIRST_WAIT_S
        self._due = time.monotonic() + self._wait_s

    def told(self, stream: Stream, num_read: int, num_bytes: int) -> None:
        if time.monotonic() < self._due:
            return
        self._wait_s *= 2
        self._due = time.monotonic() + self._wait_s
        total = "an unknown number" if stream.num_examples is None else f"{stream.num_examples}"
        self._tell(f"Reading `{stream.argument}`: {num_read} of {total} images so far, {num_bytes / 10**6:.0f} MB.")


def _find_not_finite(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return np.empty(0, np.int64)
    return np.flatnonzero(~np.isfinite(pixels).all(axis=(1, 2, 3)))


def _check_tally(tally: _Tally) -> None:
    stream = tally.stream
    if not tally.num_read:
        skipped = "".join(f" Skipped {words}." for words in stream.words_skipped())
        raise ValueError(f"`{stream.argument}` must hold at least one image, but got none.{skipped}")
    if tally.not_finite:
        raise ValueError(
            f"`{stream.argument}` must hold finite pixels, but got {counted(len(tally.not_finite), 'image')} with NaN, "
            f"infinity or values beyond float32, the first at index {tally.not_finite[0]}. "
            "Repair or leave out these images."
        )
