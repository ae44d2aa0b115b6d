"""The common form of all sources before their pixels are collected."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kgrow.task.pixels import check_image_shape
from kgrow.task.wording import counted, list_some

Size = tuple[int, int]
Chunk = tuple[Any, Any]


@dataclass(frozen=True)
class Options:
    """The arguments of `Task.of` that control the reading of a source.

    Args:
        data_dir: Directory of TFDS's data; None is its own default.
        image_size: Height and width of every image; None keeps or chooses them.
        seed: Random seed of the division into splits.
        cache_bytes: Largest size of pixels in memory, in bytes; more go to a temporary file.
        class_names: Names given by the caller, in the order of the labels.
        on_progress: Function called with a sentence during a long reading.
        download: Whether TFDS may download a data set that is not on this machine.
    """

    data_dir: str | None = None
    image_size: Size | None = None
    seed: int = 0
    cache_bytes: int = 2 * 2**30
    class_names: tuple[str, ...] | None = None
    on_progress: Callable[[str], None] = lambda sentence: None
    download: bool = True


@dataclass(frozen=True)
class Stream:
    """One split as its source yields it: in chunks, from the start at each reading.

    Args:
        read: Function that yields `(images, labels)`, images `(n, height, width)` or `(n, height, width, channels)` and
            labels sparse or one-hot.
        argument: Argument of `Task.of` from which it comes, named in errors.
        num_examples: Number of examples, or an upper bound of it; None when unknown.
        sizes: Function that yields `(height, width)` of images, for sources with different sizes; None for a single
            size.
        skipped: Files that the latest reading left out, each with a text that continues after "image file".
        has_end: Whether it is known to end; otherwise the reading stops at several million images.
        remarks: Remarks of the latest reading.
        is_ordered: Whether its order is the same in every process; data from a caller may be shuffled differently in
            each.
        read_near: Function like `read`, for images that will be resized: at least twice as large, not larger than
            needed.
    """

    read: Callable[[], Iterator[Chunk]]
    argument: str = "source"
    num_examples: int | None = None
    sizes: Callable[[], Iterable[Size]] | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    has_end: bool = True
    remarks: list[str] = field(default_factory=list)
    is_ordered: bool = True
    read_near: Callable[[Size], Iterator[Chunk]] | None = None

    def words_skipped(self) -> list[str]:
        """Describes the files that the latest reading left out.

        Returns:
            Texts such as "2 image files that could not be read: 'a.png', 'b.png'", one for each reason.
        """
        return [
            f"{counted(len(names), 'image file')} {reason}: {list_some(names)}"
            for reason in dict.fromkeys(self.skipped.values())
            if (names := [name for name, given in self.skipped.items() if given == reason])
        ]


@dataclass(frozen=True)
class Source:
    """A data set of labeled images, not read yet.

    Args:
        name: Name of the task if the caller gives none.
        train: Training examples; missing splits are taken from them.
        validation: Given validation split, if any.
        test: Given test split, if any.
        class_names: One name per class; None numbers them.
        notes: Notes for the user, each shown once.
        longest_side: Upper limit of the chosen size in pixels when images differ.
        validation_ratio: Fraction of `train` for validation when there is no validation split.
        has_unused_classes: Whether classes without an example in any split are left out instead of raising an error.
        has_eight_bits: Whether all images are decoded to 8 bits, with 0 as black and 255 as white.
        has_inherited_names: Whether the class names are those of another data set from which this one was made; if
            their number does not fit they are left out.
    """

    name: str
    train: Stream
    validation: Stream | None = None
    test: Stream | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    longest_side: int = 96
    validation_ratio: float = 0.15
    has_unused_classes: bool = False
    has_eight_bits: bool = False
    has_inherited_names: bool = False

    def streams(self) -> dict[str, Stream]:
        """Returns the splits of the source.

        Returns:
            Streams by role, "train" first.
        """
        roles = {"train": self.train, "validation": self.validation, "test": self.test}
        return {role: stream for role, stream in roles.items() if stream is not None}


def unpack(element: Any, argument: str) -> tuple[Any, Any]:
    """Returns images and labels of an element of a data set or a sequence.

    Args:
        element: A pair, or a mapping with the keys "image" and "label".
        argument: Argument of `Task.of` from which it comes.

    Returns:
        The images and the labels, unchanged.

    Raises:
        ValueError: If it is anything else.
    """
    if isinstance(element, Mapping):
        if "image" in element and "label" in element:
            return element["image"], element["label"]
        found = f"a dictionary with the keys {sorted(map(str, element))}"
    elif isinstance(element, (tuple, list)):
        if len(element) == 2:
            return element[0], element[1]
        found = f"{len(element)} values"
    else:
        found = type(element).__name__
    raise ValueError(
        f'`{argument}` must yield (image, label) pairs, or dictionaries with "image" and "label", but got {found}. '
        "Sample weights are not supported: `map` the data set to pairs."
    )


def is_single(image_shape: Sequence[int | None], label_shape: Sequence[int | None]) -> bool:
    """Returns whether shapes are those of one example rather than a batch.

    The ambiguous case is three axes with one-dimensional labels: `(height, width, channels)` with a one-hot label, or
    `(batch, height, width)` with sparse labels. A last axis of at most 4 means channels.

    Args:
        image_shape: Shape of the images; None for an unknown side.
        label_shape: Shape of the labels.

    Returns:
        True for one example, False for a batch.
    """
    if len(image_shape) == 2:
        return len(label_shape) != 1 or label_shape[0] != image_shape[0]
    if len(image_shape) != 3:
        return False
    last = image_shape[-1]
    return len(label_shape) == 0 or (len(label_shape) == 1 and last is not None and last <= 4)


def as_chunk(element: Any, argument: str) -> Chunk:
    """Converts an element of a data set or a sequence to a batch.

    Args:
        element: Element; see `unpack`.
        argument: Argument of `Task.of` from which it comes.

    Returns:
        Images `(n, height, width)` or `(n, height, width, channels)` and labels, as arrays.
    """
    images, labels = (np.asarray(part) for part in unpack(element, argument))
    if is_single(images.shape, labels.shape):
        return images[np.newaxis], labels[np.newaxis]
    if images.ndim != 3:
        check_image_shape(images.shape, argument)
    return images, labels
