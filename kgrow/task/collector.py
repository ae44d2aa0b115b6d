"""Collection of pixels chunk by chunk, in memory or, above a budget, in a temporary file."""

import shutil
import tempfile
from collections.abc import Callable
from typing import IO

import numpy as np

from kgrow.task.split import slices
from kgrow.task.wording import counted, times


class PixelCollector:
    """Builds one array of images from chunks without holding the data twice.

    Chunks are uint8 or float32. The array starts with the type of the first chunk; the first float32 chunk after uint8
    ones converts the existing pixels to float32.

    Args:
        cache_bytes: Largest size kept in memory. More pixels go to a temporary file without a name on disk, which is
            deleted however the process ends.
        num_expected: Number of expected images, or an upper bound; 0 when unknown.
    """

    def __init__(self, cache_bytes: int, num_expected: int = 0) -> None:
        self._cache_bytes = cache_bytes
        self._num_expected = num_expected
        self._image_shape: tuple[int, ...] | None = None
        self._dtype: np.dtype = np.dtype(np.uint8)
        self._memory: np.ndarray | None = None
        self._file: IO[bytes] | None = None
        self._is_spilled = False
        self._num_images = 0

    def __enter__(self) -> "PixelCollector":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def is_spilled(self) -> bool:
        """Whether the pixels are in a file."""
        return self._is_spilled

    @property
    def num_bytes(self) -> int:
        """Size of the pixels collected so far, in bytes."""
        return self._num_images * self._image_bytes()

    def check_room(self, image_shape: tuple[int, ...], image_bytes: int) -> None:
        """Raises an error for images that fit neither into `cache_bytes` nor on the disk, before any is created.

        Args:
            image_shape: Shape of one image.
            image_bytes: Size of one image in bytes.

        Raises:
            ValueError: If they do not fit.
        """
        num_images, folder = max(1, self._num_expected), tempfile.gettempdir()
        needed = num_images * image_bytes
        if needed <= self._cache_bytes or needed <= shutil.disk_usage(folder).free:
            return
        raise ValueError(
            f"`image_size` must be smaller: {counted(num_images, 'image')} of {times(image_shape)} take "
            f"{needed / 2**30:,.1f} GiB, more than `cache_bytes` and more than is free in {folder}. Pass a smaller "
            "`image_size`, or set TMPDIR to a larger disk."
        )

    def append(self, images: np.ndarray) -> None:
        """Appends images.

        Args:
            images: Images, uint8 or float32 `(n, height, width, channels)`, of one shape over all calls.
        """
        if self._image_shape is None:
            self._image_shape, self._dtype = images.shape[1:], images.dtype
        if images.dtype == np.float32 and self._dtype == np.uint8:
            self.convert(lambda held: held.astype(np.float32))
        self._write(np.ascontiguousarray(images, dtype=self._dtype))

    def convert(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Changes the type or the shape of all images collected so far, in parts.

        Args:
            change: Function that converts images `(n, height, width, channels)`.
        """
        held, num_bytes = self.finish(), self._image_bytes()
        self._image_shape = self._memory = self._file = None
        self._num_images = 0
        for rows in slices(len(held), num_bytes):
            self.append(change(held[rows]))

    def finish(self) -> np.ndarray:
        """Returns the pixels; nothing may be appended afterwards.

        Returns:
            All images in the order of `append`: writable, uint8 or float32 `(num_images, height, width, channels)`.
        """
        if self._image_shape is None:
            return np.empty((0, 0, 0, 0), np.uint8)
        shape = (self._num_images, *self._image_shape)
        if self._file is not None:
            # The mapping keeps the file open after its name and its handle are removed.
            with self._file:
                self._file.flush()
                return np.memmap(self._file, dtype=self._dtype, mode="r+", shape=shape)
        if self._memory is None:
            return np.empty(shape, self._dtype)
        self._memory.resize(shape, refcheck=False)
        return self._memory

    def _image_bytes(self) -> int:
        return int(np.prod(self._image_shape)) * self._dtype.itemsize if self._image_shape is not None else 0

    def _write(self, images: np.ndarray) -> None:
        needed = self._num_images + len(images)
        if self._file is None and max(needed, self._num_expected) * self._image_bytes() > self._cache_bytes:
            self._spill()
        if self._file is not None:
            self._write_file(images)
        else:
            memory = self._reserve(needed)
            memory[self._num_images : needed] = images
        self._num_images = needed

    def _reserve(self, needed: int) -> np.ndarray:
        shape = self._image_shape or ()
        if self._memory is None:
            self._memory = np.empty((max(needed, self._num_expected), *shape), self._dtype)
        elif needed > len(self._memory):
            # `resize` enlarges the allocation in place (mremap); `concatenate` would hold the data twice.
            self._memory.resize((max(needed, len(self._memory) * 5 // 4), *shape), refcheck=False)
        return self._memory

    def _spill(self) -> None:
        held, self._memory, self._is_spilled = self._memory, None, True
        self._file = tempfile.TemporaryFile(prefix="kgrow-")  # noqa: SIM115 - closed by `finish` or `__exit__`
        if held is not None:
            self._write_file(held[: self._num_images])

    def _write_file(self, images: np.ndarray) -> None:
        if self._file is None or not images.size:
            return
        try:
            self._file.write(images.data.cast("B"))
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror or error}: the pixels exceed `cache_bytes` and do not fit into "
                f"{tempfile.gettempdir()}. Set TMPDIR to a larger disk, or pass a smaller `image_size`.",
            ) from error
