"""`Images`: what the candidates of a search depend on."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from kgrow.task import Split


class Images(Protocol):
    """The properties of a task that candidates depend on; `Task` has them."""

    @property
    def train(self) -> Split:
        """Training images."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels."""

    @property
    def pixel_mean(self) -> tuple[float, ...]:
        """Mean of each channel."""

    @property
    def pixel_std(self) -> tuple[float, ...]:
        """Standard deviation of each channel."""
