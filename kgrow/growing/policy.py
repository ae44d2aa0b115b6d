"""`GrowthPolicy`: when the network grows, and by what."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

from kgrow.graph import Architecture, Block


@dataclasses.dataclass(frozen=True)
class GrowthState:
    """What a policy may look at.

    Args:
        epoch: 0-based: the number of epochs already trained.
        architecture: As grown so far, possibly without any block.
        target: What the network may grow into.
        history: The `epoch` events so far, oldest first.
    """

    epoch: int
    architecture: Architecture
    target: Architecture
    history: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class Growth:
    """A proposal: append this block."""

    block: Block


class GrowthPolicy(abc.ABC):
    """Decides before each epoch whether to grow; asked again until it has nothing to propose."""

    @abc.abstractmethod
    def propose(self, state: GrowthState) -> Growth | None:
        """Returns the next block, or None; reads the state and changes nothing."""
