"""Growth at epochs that are fixed in advance."""

from __future__ import annotations

import dataclasses

from kgrow.graph import Architecture
from kgrow.growing.policy import Growth, GrowthPolicy, GrowthState


@dataclasses.dataclass(frozen=True)
class FixedSchedule(GrowthPolicy):
    """Starts with the target's first block and appends the next one at each given epoch.

    Args:
        epochs: For blocks 1, 2, ...; 0 means from the start.
    """

    epochs: tuple[int, ...]

    def grown_before(self, epoch: int, target: Architecture) -> Architecture:
        """Returns what a network has grown into by the end of the epoch before.

        Raises:
            ValueError: If the target has more blocks than there are epochs for.
        """
        self._check(target)
        count = min(1, len(target.blocks))
        while count < len(target.blocks) and self.epochs[count - 1] < epoch:
            count += 1
        return dataclasses.replace(target, blocks=target.blocks[:count])

    def propose(self, state: GrowthState) -> Growth | None:
        """See `GrowthPolicy.propose`."""
        grown = len(state.architecture.blocks)
        if grown == len(state.target.blocks):
            return None
        self._check(state.target)
        due = self.epochs[grown - 1] if grown else 0
        return Growth(state.target.blocks[grown]) if state.epoch >= due else None

    def _check(self, target: Architecture) -> None:
        if len(target.blocks) - 1 > len(self.epochs):
            raise ValueError(
                f"`epochs` must hold an epoch for every block after the first ({len(target.blocks) - 1}), but got "
                f"{self.epochs}."
            )
