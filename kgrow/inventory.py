"""The images that a run was started with, and those added, removed or changed since."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kgrow._encoding import decode_arrays
from kgrow._files import read_file
from kgrow.run import Run
from kgrow.task import Task
from kgrow.task.wording import counted, times

IMAGES = "images.npz"
ROLES = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Inventory:
    """The images of a data set, in all splits.

    Args:
        digests: Digest of each image; see `Split.digests`.
        labels: Class index of each image.
        input_shape: Height, width and channels of an image.
    """

    digests: np.ndarray
    labels: np.ndarray
    input_shape: tuple[int, ...]

    @classmethod
    def of(cls, task: Task) -> Inventory:
        """Lists the images of a task."""
        splits = [getattr(task, role) for role in ROLES]
        digests, labels = ([getattr(split, name) for split in splits] for name in ("digests", "labels"))
        return cls(np.concatenate(digests), np.concatenate(labels), task.input_shape)

    def is_of(self, task: Task) -> bool:
        """Returns whether a task has these images with these labels, in any split."""
        return self._pairs() == Inventory.of(task)._pairs()

    def changes(self, task: Task) -> str:
        """Describes how the images of a task differ from these.

        Args:
            task: Current data.

        Returns:
            Text such as "1 image was added"; empty if they are the same, or have nothing in common.
        """
        now = Inventory.of(task)
        if now.input_shape != self.input_shape:
            return self._worded_sizes(now)
        before, after = Counter(self.digests.tolist()), Counter(now.digests.tolist())
        added, removed = (after - before).total(), (before - after).total()
        if removed == len(self.digests):
            return ""
        if not added and not removed:
            relabeled = (self._pairs() - now._pairs()).total()
            return f"{_were(relabeled)} given another label" if relabeled else ""
        parts = [f"{_were(number)} {how}" for number, how in ((added, "added"), (removed, "removed")) if number]
        return " and ".join(parts) + (", where one that was changed counts as both" if added and removed else "")

    def _worded_sizes(self, now: Inventory) -> str:
        num_before, num_now = len(self.digests), len(now.digests)
        if num_before == num_now:
            return ""
        return (
            f"there are {counted(num_now, 'image')} where there were {num_before}, and their size, the median, is now "
            f"{times(now.input_shape)} where it was {times(self.input_shape)}; pass `image_size` to keep it"
        )

    def _pairs(self) -> Counter[tuple[int, int]]:
        return Counter(zip(self.digests.tolist(), self.labels.tolist(), strict=True))


def record_images(run: Run, task: Task) -> None:
    """Writes a digest and the label of each image beside the configuration, unless the run's start already did."""
    if not run.has(IMAGES):
        images = Inventory.of(task)
        arrays = {"digests": images.digests, "labels": images.labels}
        run.save_arrays(IMAGES, arrays, {"input_shape": list(images.input_shape)})


def check_same_images(directory: Path, task: Task, again: Callable[[], Task]) -> None:
    """Raises an error if the images are not those of a run, and describes the difference.

    A run cannot resume with other images: its candidates would be trained on different images and not comparable, and
    the scaling of its networks is that of the original images.

    Args:
        directory: Run directory, which may not exist.
        task: Current data.
        again: Function that reads the data again, to test whether they are the same each time.

    Raises:
        ValueError: If they differ.
    """
    known = _read(directory)
    if known is None or known.is_of(task):
        return
    if known.input_shape == task.input_shape and not _is_same_again(task, again):
        raise ValueError(
            f"`dataset` must give the same images each time it is read to go on with the run in '{directory}', but "
            "gives others: it changes or draws them at random, or can be read only once. Leave random changes to "
            "`augmentation`; keep what is drawn in arrays. Pass `overwrite=True` (`--overwrite`) to start over."
        )
    changes = known.changes(task)
    if changes:
        raise ValueError(
            f"`dataset` must hold the images that the run in '{directory}' was begun with, but {changes}. Pass "
            "`overwrite=True` (`--overwrite`) to start over with the images as they are now, or another `directory` "
            "(`--out`)."
        )


def changed_images(directory: Path, task: Task) -> str:
    """Describes how the images of a task differ from those of a run; see `Inventory.changes`."""
    known = _read(directory)
    return "" if known is None else known.changes(task)


def _were(number: int) -> str:
    return f"{counted(number, 'image')} {'was' if number == 1 else 'were'}"


def _is_same_again(task: Task, again: Callable[[], Task]) -> bool:
    with contextlib.suppress(ValueError):  # an exhausted generator gives no images
        return again().fingerprint == task.fingerprint
    return False


def _read(directory: Path) -> Inventory | None:
    path = directory / IMAGES
    try:
        arrays, metadata = decode_arrays(read_file(path), str(path), {"input_shape": [int]})
        digests, labels = arrays["digests"], arrays["labels"]
    except (OSError, ValueError, KeyError):  # missing or unusable: only the message is less precise
        return None
    is_whole = digests.ndim == labels.ndim == 1 and len(digests) == len(labels)
    return Inventory(digests, labels, tuple(metadata["input_shape"])) if is_whole else None
