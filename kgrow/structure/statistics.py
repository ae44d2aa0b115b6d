"""`Statistics`: what a policy may ask of the network in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kgrow._checks import check_positive_int
from kgrow.pruning import Criterion
from kgrow.structure.append_block import AppendBlock


class Prices(NamedTuple):
    """Prices of a kernel's connections, in nats per example.

    Args:
        removal: Most that the removal of each kept one may cost; see `kgrow.pruning.prices.removal_price`.
        gain: Expected gain of each pruned one, from a weight of zero; see `kgrow.pruning.prices.revival_gain`. They are
            scaled down until they add up to at most the `joint_gain` of all pruned ones of the kernel.
    """

    removal: np.ndarray
    gain: np.ndarray


def check_num_examples(value: Any, name: str) -> int:
    """Returns a number of examples of which variances are estimated, as a plain int.

    Raises:
        ValueError: If it is not an integer of at least 8.
    """
    if check_positive_int(value, name) < 8:
        raise ValueError(f"`{name}` must be at least 8, but got {value!r}. A variance of fewer says nothing.")
    return int(value)


class NotAtHandError(RuntimeError):
    """An error for statistics of a network of which only the log is available."""


class Statistics:
    """Measurements of the current network; asking changes nothing.

    Of a network of which only the log is available they are of this class itself: asking raises `NotAtHandError`. They
    cost time, and trials that ask for any share no training from there on: their decisions are not in the log.
    """

    def masks(self) -> dict[str, np.ndarray]:
        """Returns the {0, 1} mask of every kernel, by name."""
        raise NotAtHandError("There is no network to ask for its masks.")

    def saliency(self, criterion: Criterion) -> dict[str, np.ndarray]:
        """Scores the connections on training images.

        Returns:
            An array of the kernel's shape per kernel, by name; see `Criterion.saliency`.
        """
        raise NotAtHandError(f"There is no network to ask for {criterion}.")

    def answers(self) -> np.ndarray:
        """Returns whether each head classifies each validation image correctly, bool (heads, num_images)."""
        raise NotAtHandError("There is no network to ask for its answers.")

    def gradient_noise(self, blocks: Sequence[int], num_examples: int) -> float:
        """Returns the statistic of Mahsereci et al. for the kept connections of some blocks: above 0 if all is noise.

        Args:
            blocks: Numbers of the blocks, from 0.
            num_examples: Number of training images whose single gradients are computed, at least 8.
        """
        raise NotAtHandError("There is no network to ask for its gradients.")

    def prices(self, num_examples: int) -> dict[str, Prices]:
        """Returns the prices of all connections, by kernel name.

        Args:
            num_examples: Number of training images that they are computed on, at least 8.
        """
        raise NotAtHandError("There is no network to ask for its prices.")

    def block_gain(self, block: AppendBlock, num_examples: int) -> float:
        """Returns what the first step of a block to come would gain, in nats per example.

        The block's head is taken to start at zero and to be added to the last head's logits, so that it changes
        nothing; see `kgrow.pruning.prices.joint_gain` for all weights of that head.

        Args:
            block: Block to append.
            num_examples: Number of training images that it is computed on, at least 8.
        """
        raise NotAtHandError("There is no network to ask for the gain of a block.")
