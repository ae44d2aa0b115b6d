"""A description of the data for the start of a search."""

from collections.abc import Mapping

import numpy as np

from kgrow.task.split import Divided, Split
from kgrow.task.twins import near_twins, thumbnails
from kgrow.task.wording import counted, list_some, times

# Smallest number of a class's images in a split: with fewer the accuracy takes only values such as 0, 50 and 100 %.
FEWEST_EXAMPLES = 3
WORDS = {"train": "training", "validation": "validation", "test": "test"}


def describe(task: Divided) -> tuple[str, ...]:
    """Describes a task, and reasons to doubt its figures.

    Args:
        task: Data to describe.

    Returns:
        Sentences: images and classes, splits and copies, and the baseline of every network. If there are any, images in
        several splits, contradicting labels, and classes with too few images to judge.
    """
    splits = {"train": task.train, "validation": task.validation, "test": task.test}
    return (
        _describe_classes(task, splits),
        _describe_splits(task, splits),
        _describe_baseline(task),
        *_find_leaks(task, splits),
        *_find_contradictions(splits),
        *_find_small_classes(task),
    )


def largest_class(task: Divided) -> tuple[int, float]:
    """Returns the largest class of the training images, and the test accuracy, in [0, 1], of always predicting it."""
    largest = int(np.bincount(task.train.labels).argmax())
    return largest, float(np.mean(task.test.labels == largest))


def _describe_classes(task: Divided, splits: Mapping[str, Split]) -> str:
    counts = np.bincount(np.concatenate([split.labels for split in splits.values()]), minlength=task.num_classes)
    return (
        f"{counted(int(counts.sum()), 'image')} of {times(task.input_shape)}, {task.dtype}, in {task.num_classes} "
        f"classes: {list_some(task.class_names, counts.tolist())}."
    )


def _describe_splits(task: Divided, splits: Mapping[str, Split]) -> str:
    parts = [
        f"{len(split)} for {WORDS[role]}" + (" (set aside)" if role in task.set_aside else "")
        for role, split in splits.items()
    ]
    digests = np.concatenate([split.digests for split in splits.values()])
    num_copies = len(digests) - len(np.unique(digests))
    repeat = "repeats another" if num_copies == 1 else "repeat others"
    copies = f"{counted(num_copies, 'image')} {repeat}" if num_copies else "No image occurs twice"
    return f"Divided into {', '.join(parts)}. {copies}, pixel for pixel."


def _describe_baseline(task: Divided) -> str:
    largest, accuracy = largest_class(task)
    return (
        f"Always answering {task.class_names[largest]!r} would be right for {100 * accuracy:.1f} % of the test images."
    )


def _find_leaks(task: Divided, splits: Mapping[str, Split]) -> list[str]:
    """Describes how many images of later splits are also in earlier ones, exactly or nearly."""
    small = {role: thumbnails(split.images, task.pixel_range) for role, split in splits.items()}
    sentences = []
    for role, earlier in (("validation", ("train",)), ("test", ("train", "validation"))):
        is_copy = np.isin(splits[role].digests, np.concatenate([splits[other].digests for other in earlier]))
        is_near = near_twins(small[role], np.concatenate([small[other] for other in earlier])) & ~is_copy
        where = " or ".join(WORDS[other] for other in earlier)
        for found, how in ((is_copy, "{} {} images, pixel for pixel"), (is_near, "nearly {} {} images")):
            num_found = int(found.sum())
            if num_found:
                words = how.format("equals" if num_found == 1 else "equal", where)
                images = counted(num_found, f"{role} image")
                sentences.append(f"{images} {words}: the {role} accuracy says less about new images.")
    return sentences


def _find_contradictions(splits: Mapping[str, Split]) -> list[str]:
    digests = np.concatenate([split.digests for split in splits.values()])
    labels = np.concatenate([split.labels for split in splits.values()])
    order = np.lexsort((labels, digests))
    is_copy = digests[order][1:] == digests[order][:-1]
    differs = is_copy & (labels[order][1:] != labels[order][:-1])
    num_images = len(np.unique(digests[order][1:][differs]))
    if not num_images:
        return []
    occur = "occurs" if num_images == 1 else "occur"
    return [f"{counted(num_images, 'image')} {occur} under several labels, of which at most one can be learned."]


def _find_small_classes(task: Divided) -> list[str]:
    counts = [np.bincount(split.labels, minlength=task.num_classes) for split in (task.validation, task.test)]
    few = np.minimum(*counts) < FEWEST_EXAMPLES
    if not few.any():
        return []
    names = [name for name, is_few in zip(task.class_names, few, strict=True) if is_few]
    figures = [
        f"{validation} and {test}" for validation, test in zip(*(of_split[few] for of_split in counts), strict=True)
    ]
    return [
        f"Too few validation and test images to judge {counted(len(names), 'class')}: {list_some(names, figures)}. "
        "Add images of them."
    ]
