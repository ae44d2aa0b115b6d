"""The training images that criteria score on."""

from __future__ import annotations

from collections.abc import Sequence

from kgrow.pruning.criterion import Batch
from kgrow.task import Split

LARGEST_BATCH = 256


def saliency_batches(split: Split, num_examples: int, shuffle_seed: Sequence[int]) -> list[Batch]:
    """Returns training images to score on, in few, large batches, which are fastest.

    Args:
        split: Split to draw from.
        num_examples: Total number of images; all of them if there are fewer.
        shuffle_seed: Random seed of the selection.
    """
    num_examples = min(num_examples, len(split))
    batches = split.batches(min(num_examples, LARGEST_BATCH), shuffle_seed=shuffle_seed)
    starts = range(0, num_examples, LARGEST_BATCH)
    return [
        (images[: num_examples - start], labels[: num_examples - start])
        for start, (images, labels) in zip(starts, batches, strict=False)
    ]
