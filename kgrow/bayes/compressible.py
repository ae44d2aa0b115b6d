"""`Compressible`: the network interface that `Compression` needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from kgrow.bayes.curvature import Model
from kgrow.bayes.likelihood import Outputs


class Compressible(Protocol):
    """A network whose groups of weights can be removed and whose training can then continue."""

    @property
    def kernels(self) -> Sequence[Any]:
        """Variables whose groups may be removed: (height, width, channels, filters) or (inputs, outputs)."""

    @property
    def trainable(self) -> Sequence[Any]:
        """All trained variables, including the kernels."""

    @property
    def variables(self) -> Sequence[Any]:
        """All variables that a run changes, including masks and statistics, in the same order in every process."""

    @property
    def model(self) -> Model:
        """The network in inference mode; its parameters include the kernels."""

    def outputs(self, images: Any) -> Outputs:
        """Returns the logits (batch, classes) of every head in training.

        Args:
            images: Raw pixels (batch, height, width, channels).
        """

    def connected(self, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the masks without weights that no input reaches or that reach no class.

        Args:
            masks: Boolean masks of the kernels' shapes.
        """

    def remove(self, masks: Sequence[np.ndarray]) -> None:
        """Sets weights outside the connected masks to zero, and parameters that only belong to them, such as biases.

        Raises:
            ValueError: If no input would reach a class any more; nothing is changed then.
        """

    def apply_masks(self) -> None:
        """Sets the same weights to zero again after a step; callable inside a traced function."""
