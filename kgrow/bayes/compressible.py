"""`Compressible`: what `Compression` needs of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from kgrow.bayes.curvature import Model
from kgrow.bayes.likelihood import Outputs


class Compressible(Protocol):
    """A network of which groups of weights can go, and which trains on without them."""

    @property
    def kernels(self) -> Sequence[Any]:
        """The variables whose groups may go: (height, width, channels, filters) or (inputs, outputs)."""

    @property
    def trainable(self) -> Sequence[Any]:
        """All variables that are trained, the kernels among them."""

    @property
    def variables(self) -> Sequence[Any]:
        """All that a run changes in the network, masks and statistics too, in the same order in every process."""

    @property
    def model(self) -> Model:
        """The network as it answers; the kernels are among its parameters."""

    def outputs(self, images: Any) -> Outputs:
        """Returns the logits (batch, classes) of every head in training.

        Args:
            images: Raw pixels (batch, height, width, channels).
        """

    def connected(self, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the masks without weights that no input reaches or that reach no class.

        Args:
            masks: bool, of the kernels' shapes.
        """

    def remove(self, masks: Sequence[np.ndarray]) -> None:
        """Makes zero what connected masks do not keep, and what only belongs to it, such as biases.

        Raises:
            ValueError: If no input would reach a class any more; nothing is changed then.
        """

    def apply_masks(self) -> None:
        """Makes the same zero again after a step; callable inside a traced function."""
