"""Reading of a source into splits; missing splits are taken from the training images."""

from collections.abc import Collection

import numpy as np

from kgrow.task.collector import PixelCollector
from kgrow.task.labels import name_classes
from kgrow.task.partition import carve_whole, content_order, reorder
from kgrow.task.reader import StreamReader
from kgrow.task.split import Split, digests_of
from kgrow.task.stream import Options, Size, Source
from kgrow.task.wording import counted, times

TEST_RATIO = 0.2


def gather(source: Source, options: Options) -> tuple[dict[str, Split], tuple[str, ...], tuple[str, ...]]:
    """Reads a source and divides it into splits.

    Args:
        source: Opened source.
        options: Reading options; see `Options`.

    Returns:
        The splits by name ("train", "validation", "test"), the class names and the notes.
    """
    streams = source.streams()
    size = options.image_size or choose_size(source)
    with PixelCollector(options.cache_bytes, _count_expected(source)) as collector:
        reader = StreamReader(
            collector, size, is_resizing=options.image_size is not None, on_progress=options.on_progress
        )
        indices = {role: reader.read(stream) for role, stream in streams.items()}
        class_names, labels, class_notes = name_classes(source, options.class_names, indices, reader.num_classes)
        images = collector.finish()
        settle(images, labels, {role for role, stream in streams.items() if not stream.is_ordered})
        splits = divide(images, labels, source.validation_ratio, options.seed)
    notes = [*source.notes, *class_notes, *reader.doubts]
    if reader.num_resized:
        reason = "" if options.image_size else " (the median size, or the cap; pass `image_size` for another)"
        notes.append(f"Resized {counted(reader.num_resized, 'image')} to {times(reader.image_shape[:2])}{reason}.")
    for stream in streams.values():
        notes.extend(stream.remarks)
        notes.extend(f"Skipped {words}." for words in stream.words_skipped())
    if collector.is_spilled:
        notes.append(
            f"Put {collector.num_bytes / 2**20:.0f} MiB of pixels, more than `cache_bytes`, in a temporary file."
        )
    return splits, class_names, tuple(notes)


def choose_size(source: Source) -> Size | None:
    """Chooses a size for images of different sizes: the median of each side, up to the source's limit.

    Args:
        source: Opened source.

    Returns:
        Height and width, or None if all images have the same size.
    """
    sizes = [] if source.train.sizes is None else list(source.train.sizes())
    if not sizes:
        return None
    height, width = np.median(np.array(sizes), axis=0)
    scale = min(1.0, source.longest_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def settle(images: np.ndarray, labels: dict[str, np.ndarray], roles: Collection[str]) -> None:
    """Sorts examples by their content, so that a source that shuffles itself is always divided in the same way.

    Args:
        images: Pixels of the given splits, one after the other; reordered in place.
        labels: Class indices of the given splits, in the same order; reordered too.
        roles: Splits whose order may vary.
    """
    start = 0
    for role, indices in labels.items():
        rows = images[start : start + len(indices)]
        start += len(indices)
        if role in roles:
            order = content_order(rows, indices)
            reorder(rows, order)
            labels[role] = indices[order]


def divide(images: np.ndarray, labels: dict[str, np.ndarray], validation_ratio: float, seed: int) -> dict[str, Split]:
    """Makes the three splits as views of one array; images with equal pixels stay in one split.

    Args:
        images: Pixels of the given splits, one after the other, "train" first; reordered in place.
        labels: Class indices of the given splits, in the same order.
        validation_ratio: Fraction of the training images for validation if no validation split is given.
        seed: Random seed of the choice.

    Returns:
        The splits "train", "validation" and "test".
    """
    num_given = len(labels["train"])
    ratios = {"test": TEST_RATIO, "validation": validation_ratio}
    missing = [role for role in ratios if role not in labels]
    divided = {"train": labels["train"]}
    if missing:
        twins = digests_of(images[:num_given])
        parts = carve_whole(labels["train"], twins, [ratios[role] for role in missing], seed)
        reorder(images[:num_given], np.concatenate(parts))
        divided = {role: labels["train"][rows] for role, rows in zip(["train", *missing], parts, strict=True)}
    images.flags.writeable = False
    divided.update({role: indices for role, indices in labels.items() if role != "train"})
    splits, start = {}, 0
    for role, indices in divided.items():
        splits[role] = Split(images[start : start + len(indices)], indices)
        start += len(indices)
    return splits


def _count_expected(source: Source) -> int:
    counts = [stream.num_examples for stream in source.streams().values()]
    return sum(count for count in counts if count is not None) if None not in counts else 0
