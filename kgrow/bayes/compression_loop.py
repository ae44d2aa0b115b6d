"""`CompressionLoop`: the epochs of a structural compression and of the recovery after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from kgrow._checks import check_non_negative_int, check_positive_int
from kgrow.bayes.compression import Compression
from kgrow.run import Run
from kgrow.training import Observer, ResumableLoop


class CompressionLoop(ResumableLoop):
    """Trains under the penalty, removes what is off after every few epochs, and lets the rest recover at the end.

    Args:
        work: Compression of the network.
        images: Images as the network reads them, (num_images, height, width, channels).
        labels: Labels, int32 (num_images,).
        num_epochs: Number of epochs, recovery included.
        epochs_per_loop: Number of epochs before each update.
        recovery_epochs: Number of last epochs without penalty and updates; `num_epochs` only trains.
        rate: Function that maps the number of an epoch to its learning rate; None for that of the settings.
        prepare: Function that maps images and the number of an epoch to those it trains on.
        folder: Folder of the checkpoint; None writes nothing.
        observer: Observer that is notified of every step and epoch.
    """

    def __init__(  # noqa: PLR0913 - what compressions differ in; five are keywords with a default
        self,
        work: Compression,
        images: np.ndarray,
        labels: np.ndarray,
        num_epochs: int,
        *,
        epochs_per_loop: int = 1,
        recovery_epochs: int = 0,
        rate: Callable[[int], float] | None = None,
        prepare: Callable[[np.ndarray, int], np.ndarray] = lambda images, epoch: images,
        folder: Run | None = None,
        observer: Observer | None = None,
    ):
        super().__init__(check_positive_int(num_epochs, "num_epochs"), folder, observer, "compression")
        self.work, self.images, self.labels = work, images, labels
        self.epochs_per_loop = check_positive_int(epochs_per_loop, "epochs_per_loop")
        self.penalized_epochs = num_epochs - check_non_negative_int(recovery_epochs, "recovery_epochs")
        self._rate, self._prepare = rate, prepare

    @property
    def num_steps(self) -> int:
        """See `EpochLoop.num_steps`."""
        return len(self.images) // self.work.settings.batch_size

    def train_epoch(self, epoch: int, on_step: Callable[[int], None]) -> None:
        """See `EpochLoop.train_epoch`."""
        if self._rate is not None:
            self.work.set_learning_rate(self._rate(epoch))
        penalized = epoch < self.penalized_epochs
        loss = self.work.train(self._prepare(self.images, epoch), self.labels, penalized=penalized, on_step=on_step)
        if penalized and (epoch + 1) % self.epochs_per_loop == 0:
            self.work.update(self.images, self.labels)
        left, size = (sum(map(count, self.work.masks)) for count in (np.count_nonzero, np.size))
        self.observer.note(f"epoch {epoch + 1} of {self.num_epochs}: loss {loss:.4f}, {left} of {size} weights left")

    def state(self) -> dict[str, np.ndarray]:
        """See `ResumableLoop.state`."""
        return self.work.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """See `ResumableLoop.load_state`."""
        self.work.load_state(state)
