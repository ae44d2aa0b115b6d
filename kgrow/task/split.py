"""One split of a data set, as arrays."""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kgrow._checks import check_positive_int
from kgrow.task.pixels import usual_range

CHUNK_BYTES = 8 * 2**20


def slices(num_rows: int, row_bytes: int) -> Iterator[slice]:
    """Cuts rows into parts of about 8 MiB, so that work on a memory-mapped file never loads all of it.

    Args:
        num_rows: Total number of rows.
        row_bytes: Size of one row in bytes.

    Yields:
        Slices that cover `range(num_rows)` in order.
    """
    step = max(1, CHUNK_BYTES // max(1, row_bytes))
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


def digests_of(images: np.ndarray) -> np.ndarray:
    """Returns a digest of each image's pixels, uint64 `(num_examples,)`."""
    hashed = [hashlib.blake2b(np.ascontiguousarray(image).data.cast("B"), digest_size=8).digest() for image in images]
    return np.frombuffer(b"".join(hashed), "<u8").astype(np.uint64)


@dataclass(frozen=True, eq=False)
class Split:
    """The images and labels of one part (train, validation or test) of a data set.

    Args:
        images: Raw pixels, uint8 or float32 `(num_examples, height, width, channels)`; may be a memory-mapped file.
        labels: Class indices, int32 `(num_examples,)`.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.images, np.ndarray) or self.images.ndim != 4:
            raise ValueError(
                "`images` must be an array (num_examples, height, width, channels), but got "
                f"{_describe(self.images)}. `Task.of((images, labels))` converts other layouts."
            )
        if self.images.dtype not in (np.uint8, np.float32):
            raise ValueError(
                f"`images` must be uint8 or float32, but got {self.images.dtype}. "
                "`Task.of((images, labels))` converts other types."
            )
        if not isinstance(self.labels, np.ndarray) or self.labels.shape != (len(self.images),):
            raise ValueError(
                f"`labels` must be an array with one class index per image ({len(self.images)}), but got "
                f"{_describe(self.labels)}. `Task.of((images, labels))` accepts one-hot labels too."
            )
        if self.labels.dtype != np.int32:
            raise ValueError(f"`labels` must be int32, but got {self.labels.dtype}. Use `labels.astype(numpy.int32)`.")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = "x".join(str(side) for side in self.images.shape[1:])
        return f"Split({len(self)} images of {shape}, {self.images.dtype})"

    @functools.cached_property
    def digests(self) -> np.ndarray:
        """A digest of each image's pixels, uint64 `(num_examples,)`."""
        return digests_of(self.images)

    @property
    def num_examples(self) -> int:
        """Number of images."""
        return len(self.images)

    def batches(
        self,
        batch_size: int,
        shuffle_seed: int | Sequence[int] | None = None,
        drop_remainder: bool = False,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterates once over the examples.

        The order depends only on `shuffle_seed`, so the order of any epoch is known without replaying the earlier ones:
        pass `(seed, epoch)`.

        Args:
            batch_size: Number of examples in a batch; the last one may be smaller.
            shuffle_seed: Non-negative number or numbers that decide the order; None keeps the stored order.
            drop_remainder: Whether a smaller last batch is left out.

        Returns:
            Iterator over `(images, labels)`, with the types of the split.
        """
        # Checked here and iterated elsewhere, so that a wrong argument fails at the call and not at the first batch.
        return self._iterate(check_positive_int(batch_size, "batch_size"), shuffle_seed, drop_remainder)

    def _iterate(
        self, batch_size: int, shuffle_seed: int | Sequence[int] | None, drop_remainder: bool
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = None if shuffle_seed is None else np.random.default_rng(shuffle_seed).permutation(len(self))
        end = len(self) - len(self) % batch_size if drop_remainder else len(self)
        for start in range(0, end, batch_size):
            rows = slice(start, start + batch_size) if order is None else order[start : start + batch_size]
            yield np.asarray(self.images[rows]), self.labels[rows]


class Divided:
    """Base of `Task`, by which modules that a task is made with know one: data divided into splits."""

    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    has_eight_bits: bool
    set_aside: tuple[str, ...]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels, uint8 or float32."""
        return self.train.images.dtype

    @functools.cached_property
    def pixel_range(self) -> tuple[float, float]:
        """Smallest and largest possible value of raw pixels, estimated from the training images if not known."""
        if self.has_eight_bits:
            return 0.0, 255.0
        pieces = [self.train.images[rows] for rows in slices(len(self.train), self.train.images[0].nbytes)]
        return usual_range(min(float(piece.min()) for piece in pieces), max(float(piece.max()) for piece in pieces))


def _describe(value: object) -> str:
    return f"shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
