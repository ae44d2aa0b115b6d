"""`Task`: any data set of labeled images in one form."""

from __future__ import annotations

import functools
import hashlib
import html
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow._rules import checked
from kgrow.task.arguments import RULES
from kgrow.task.gather import gather
from kgrow.task.labels import check_classes, check_labels
from kgrow.task.origin import origin_of
from kgrow.task.overview import describe
from kgrow.task.pixels import check_image_shape, check_image_size
from kgrow.task.preview import preview_of
from kgrow.task.sources import add_split, open_source
from kgrow.task.split import Divided, Split, slices
from kgrow.task.stream import Options, Source
from kgrow.task.wording import printable, times

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Task(Divided):
    """An image classification task: three splits of raw pixels with their class indices.

    `Task.of` makes one from almost any data. The test split is for the final figures and decides nothing.

    Args:
        name: Name in reports.
        train: Training examples.
        validation: Examples for decisions.
        test: Examples for the final figures.
        class_names: One name per class, in the order of the labels.
        notes: Notes for the user, each shown once: images resized, files skipped.
        has_eight_bits: Whether the pixels are known to range from 0, black, to 255, white, even if few reach these
            values.
        set_aside: Names of the splits that were taken from the training images.
        origin: Arguments of `Task.of` that made it; see `kgrow.task.origin`.

    Example:
        >>> task = Task.of("digits")
        >>> task.input_shape, task.num_classes, task.train.num_examples
        ((8, 8, 1), 10, 1168)
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    has_eight_bits: bool = False
    set_aside: tuple[str, ...] = ()
    origin: dict[str, Any] = field(default_factory=origin_of)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(str(self.name)))
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        object.__setattr__(self, "notes", tuple(self.notes))
        for role in ("train", "validation", "test"):
            split = getattr(self, role)
            check_image_shape(split.images.shape, role)
            check_image_size(split.images.shape, role)
            if not len(split):
                raise ValueError(f"`{role}` must hold at least one image, but got none.")
            if split.images.shape[1:] != self.input_shape or split.images.dtype != self.dtype:
                raise ValueError(
                    f"`{role}` must hold images like those of `train`, {times(self.input_shape)} {self.dtype}, but got "
                    f"{split!r}."
                )
            check_labels(split.labels, self.class_names, role)
        check_classes(self.train.labels, self.class_names)

    def __repr__(self) -> str:
        counts = "/".join(str(len(split)) for split in (self.train, self.validation, self.test))
        return (
            f"Task({self.name!r}, {counts} train/validation/test images of {times(self.input_shape)} {self.dtype}, "
            f"{self.num_classes} classes)"
        )

    @classmethod
    @checked(RULES)
    def of(  # noqa: PLR0913 - the one front door; all but the source are keywords with a default
        cls,
        source: Any,
        *,
        name: str | None = None,
        validation_data: Any = None,
        validation_split: float | None = None,
        test_data: Any = None,
        data_dir: str | os.PathLike[str] | None = None,
        image_size: int | tuple[int, int] | None = None,
        seed: int = 0,
        cache_bytes: int = Options.cache_bytes,
        class_names: Iterable[str] | None = None,
        on_progress: Callable[[str], None] = lambda sentence: None,
        download: bool = True,
    ) -> Task:
        """Makes a task from almost any data.

        Splits that the source does not have are taken from its training images, stratified. For arrays, data sets,
        sequences and folders this is 20% for the test and 15% for validation. For a TFDS data set it is 10% for
        validation, and its validation split is the test split when it has no other. Pixels stay raw: uint8 if all are
        whole numbers in 0..255, else float32. Images that differ in size are resized to their median size, at most 96
        pixels long; larger files are reduced to it too.

        Args:
            source: One of

                * "digits", which comes with scikit-learn;
                * a name of TensorFlow Datasets: "mnist", "cifar10:3.0.2", "emnist/letters";
                * a folder (string or path) with one sub-folder per class, or with "train" and "test" (and
                  "validation", "val" or "valid") sub-folders that are such folders; PNG, JPEG, BMP, GIF, WebP or TIFF,
                  and HEIC where `pillow-heif` is installed;
                * `(images, labels)`, arrays, lists or tensors; or `((images, labels), (images, labels))`, the second
                  pair being the test split;
                * a `tf.data.Dataset` or a `keras.utils.Sequence` of such pairs, batched or not;
                * a task, returned as it is; nothing of it can be replaced here.

                Images are `(height, width)` or `(height, width, channels)`, labels class indices from 0 or one-hot. A
                string is a folder if that folder exists and the string looks like a path (has a separator, or starts
                with "." or "~") or names no data set, or if that folder has sub-folders with images.
            name: Name in reports; None takes it from the source.
            validation_data: Validation split that replaces the source's own: anything `source` may be except a name.
            validation_split: Fraction of the training images for validation, in (0, 1), instead of the default above.
            test_data: Test split that replaces the source's own, of the same kinds.
            data_dir: Directory of TFDS's data; None is its default, which follows TFDS_DATA_DIR.
            image_size: Side, or height and width, to which every image is resized.
            seed: Random seed of the division into splits.
            cache_bytes: Largest size of pixels in memory, in bytes; more go to a temporary file.
            class_names: Names of the classes, in the order of the labels; for a folder, its order. None takes the names
                from the source, such as `class_names` or `class_indices`, or else numbers them.
            on_progress: Function called with a sentence after some seconds of reading, and then less and less often.
            download: Whether a TFDS data set that is not on this machine may be downloaded.

        Returns:
            The task. Its `notes` contain messages for the user.

        Raises:
            ValueError: If the data cannot be used for training; the message says what to do.
            TypeError: If the source is not one of these kinds.
            FileNotFoundError: If a folder does not exist.
        """
        if isinstance(source, cls):
            _check_unchanged(
                name=name,
                validation_data=validation_data,
                validation_split=validation_split,
                test_data=test_data,
                image_size=image_size,
                class_names=class_names,
            )
            return source
        given_names = None if class_names is None else tuple(class_names)
        options = Options(
            data_dir=None if data_dir is None else os.fspath(data_dir),
            image_size=(image_size, image_size) if isinstance(image_size, int) else image_size,
            seed=seed,
            cache_bytes=cache_bytes,
            class_names=given_names,
            on_progress=on_progress,
            download=download,
        )
        opened = open_source(source, options)
        for role, data in {"validation": validation_data, "test": test_data}.items():
            opened = opened if data is None else add_split(opened, role, data, options)
        if validation_split is not None:
            _check_sets_aside(opened)
            opened = replace(opened, validation_ratio=validation_split)
        splits, names, notes = gather(opened, options)
        return cls(
            name or opened.name,
            **splits,
            class_names=names,
            notes=notes,
            has_eight_bits=opened.has_eight_bits,
            set_aside=tuple(role for role in ("validation", "test") if role not in opened.streams()),
            origin=origin_of(
                source,
                data_dir=data_dir,
                image_size=image_size,
                validation_split=validation_split,
                class_names=given_names,
                seed=seed,
            ),
        )

    @property
    def pixel_mean(self) -> tuple[float, ...]:
        """Mean of each channel over the training images, in raw pixel units."""
        return self._pixel_statistics[0]

    @property
    def pixel_std(self) -> tuple[float, ...]:
        """Standard deviation of each channel over the training images; 1.0 for a constant channel."""
        return self._pixel_statistics[1]

    @functools.cached_property
    def overview(self) -> tuple[str, ...]:
        """A description of the data for the start of a search: sizes, classes, copies, and doubts."""
        return describe(self)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any pixel or label of any split."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            digest.update(f"{split.images.shape} {split.images.dtype}".encode())
            for rows in slices(len(split), split.images[0].nbytes):
                digest.update(np.ascontiguousarray(split.images[rows]).data.cast("B"))
            digest.update(np.ascontiguousarray(split.labels).data.cast("B"))
        return digest.hexdigest()[:16]

    def preview(
        self, augmentation: Any = "suited", *, num_images: int = 8, num_changes: int = 3, seed: int = 0
    ) -> Figure:
        """Returns a matplotlib figure of training images, and of how training changes them at random.

        Args:
            augmentation: Random changes: a name in `kgrow.registry.AUGMENTATIONS`, by default that of a search, or an
                `Augmentation`.
            num_images: Number of images, in turn from each class.
            num_changes: Number of changed copies of each.
            seed: Random seed of the choice and of the changes.

        Raises:
            ImportError: If matplotlib is not installed; the message says how to install it.
        """
        return preview_of(self, augmentation, num_images, num_changes, seed)

    def _repr_html_(self) -> str:
        """Returns the overview for a notebook."""
        return f"<pre>{html.escape(chr(10).join((repr(self), *self.overview)))}</pre>"

    @functools.cached_property
    def _pixel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        images = self.train.images
        # Sums of deviations from one of the values do not cancel, and are exactly 0 in a constant channel.
        origin = images[0, 0, 0].astype(np.float64)
        total, total_squares = np.zeros_like(origin), np.zeros_like(origin)
        for rows in slices(len(images), images[0].size * 8):
            deviations = images[rows] - origin
            total += deviations.sum(axis=0).sum(axis=(0, 1))
            total_squares += np.square(deviations, out=deviations).sum(axis=0).sum(axis=(0, 1))
        num_pixels = images[..., 0].size
        shift = total / num_pixels
        std = np.sqrt(np.maximum(total_squares / num_pixels - shift**2, 0))
        return tuple((origin + shift).tolist()), tuple(np.where(std > 0, std, 1.0).tolist())


def _check_unchanged(**given: Any) -> None:
    named = [f"`{name}`" for name, value in given.items() if value is not None]
    if named:
        raise ValueError(
            f"{', '.join(named)} must be left out with a task, which is complete. Give it to `Task.of` beside the data."
        )


def _check_sets_aside(opened: Source) -> None:
    if opened.validation is not None:
        raise ValueError("`validation_split` must be left out where a validation split is given: nothing is set aside.")
