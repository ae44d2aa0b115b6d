"""Which images a run was begun with, and what has been added, removed or changed since."""

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
    """The images of a data set, whatever split each is in.

    Args:
        digests: A number per image, see `Split.digests`.
        labels: Their class indices.
        input_shape: Height, width and channels.
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
        """Returns whether a task holds these images with these labels, however divided."""
        return self._pairs() == Inventory.of(task)._pairs()

    def changes(self, task: Task) -> str:
        """Words how the images of a task differ from these.

        Args:
            task: The data as they are now.

        Returns:
            Such as "1 image was added"; empty if they are the same, or have nothing in common.
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
    """Writes a number per image and its label beside the configuration, unless that was done when the run began."""
    if not run.has(IMAGES):
        images = Inventory.of(task)
        arrays = {"digests": images.digests, "labels": images.labels}
        run.save_arrays(IMAGES, arrays, {"input_shape": list(images.input_shape)})


def check_same_images(directory: Path, task: Task, again: Callable[[], Task]) -> None:
    """Refuses images that are not those of a run, and says what has changed.

    A run does not go on with other images: its candidates would be compared though they learned from different ones,
    and the scaling of its networks is that of the images they began with.

    Args:
        directory: The run directory, if there is one.
        task: The data as they are now.
        again: Reads them once more, to find out whether they are the same each time.

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
    """Words how the images of a task differ from those of a run: see `Inventory.changes`."""
    known = _read(directory)
    return "" if known is None else known.changes(task)


def _were(number: int) -> str:
    return f"{counted(number, 'image')} {'was' if number == 1 else 'were'}"


def _is_same_again(task: Task, again: Callable[[], Task]) -> bool:
    with contextlib.suppress(ValueError):  # a generator that is used up gives no images at all
        return again().fingerprint == task.fingerprint
    return False


def _read(directory: Path) -> Inventory | None:
    path = directory / IMAGES
    try:
        arrays, metadata = decode_arrays(read_file(path), str(path))
        return Inventory(arrays["digests"], arrays["labels"], tuple(metadata["input_shape"]))
    except (OSError, ValueError, KeyError, TypeError):  # not there, or of no use: only the message would be better
        return None
