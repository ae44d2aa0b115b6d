"""Reading of `tf.data` data sets."""

import itertools
from collections.abc import Iterator
from typing import Any

from kgrow.task.stream import Chunk, Size, Stream, as_chunk, is_single, unpack

BATCH_SIZE = 256
NUM_SIZED = 1000


def is_dataset(value: object) -> bool:
    """Returns whether a value is a `tf.data.Dataset`, without importing TensorFlow.

    Args:
        value: Any value.

    Returns:
        Whether it is one.
    """
    return hasattr(value, "element_spec") and hasattr(value, "as_numpy_iterator")


def class_names_of(dataset: Any) -> tuple[str, ...] | None:
    """Returns the class names of a data set from `image_dataset_from_directory`, even after transformations.

    Args:
        dataset: `tf.data.Dataset`; each knows those from which it was made, but not their attributes.

    Returns:
        The names, in the order of the labels; None if there are none.
    """
    waiting = [dataset]
    while waiting:
        present = waiting.pop(0)
        names = getattr(present, "class_names", None)
        if isinstance(names, (list, tuple)) and names:
            return tuple(map(str, names))
        waiting.extend(present._inputs() if hasattr(present, "_inputs") else ())
    return None


def open_dataset(dataset: Any, argument: str = "source") -> Stream:
    """Opens a `tf.data.Dataset`.

    Args:
        dataset: Data set of `(image, label)` pairs or dictionaries with "image" and "label", batched or not, with
            sparse or one-hot labels.
        argument: Argument of `Task.of` from which it comes.

    Returns:
        Stream over it. If the sizes of images differ, they are taken from the first thousand examples.

    Raises:
        ValueError: If it never ends, or has other elements.
    """
    from kgrow._keras import tf

    image_spec, label_spec = unpack(dataset.element_spec, argument)
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            f"`{argument}` must end, but got an infinite data set. Leave out `repeat()`, or use `take(n)`."
        )
    image_shape, label_shape = _shape(image_spec), _shape(label_spec)
    num_examples, sides = None, (None,) if image_shape is None else image_shape[1:3]
    if image_shape is not None and label_shape is not None and is_single(image_shape, label_shape):
        sides = image_shape[:2]
        num_examples = cardinality if cardinality >= 0 else None
        if None not in (*image_shape, *label_shape):
            dataset = dataset.batch(BATCH_SIZE)
    options = tf.data.Options()
    # Autotune stalls for seconds whenever an iterator ends; see test_datasets.py::test_autotune_is_off.
    options.autotune.enabled = False
    dataset = dataset.with_options(options)

    def read() -> Iterator[Chunk]:
        for element in dataset.as_numpy_iterator():
            yield as_chunk(element, argument)

    def sizes() -> Iterator[Size]:
        sized = (image.shape[:2] for images, _ in read() for image in images)
        return itertools.islice(sized, NUM_SIZED)

    return Stream(
        read,
        argument,
        num_examples,
        sizes if None in sides else None,
        has_end=cardinality != tf.data.UNKNOWN_CARDINALITY,
    )


def _shape(spec: Any) -> tuple[int | None, ...] | None:
    shape = getattr(spec, "shape", None)
    return None if shape is None or shape.rank is None else tuple(shape)
