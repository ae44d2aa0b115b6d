"""`Leases`: which workers have been heard of."""

from __future__ import annotations

import time
from collections.abc import Callable


class Leases:
    """Who is heard of holds a lease; it ends some seconds after the last word.

    Args:
        seconds: Length of a lease.
        clock: Tells the time in seconds; it must not go back.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic):
        self.seconds, self._clock = seconds, clock
        self._ends: dict[str, float] = {}

    def renew(self, worker: str) -> None:
        """Takes note of a worker, new or known."""
        self._ends[worker] = self._clock() + self.seconds

    def __len__(self) -> int:
        return len(self._ends)

    def take_expired(self) -> list[str]:
        """Returns the workers whose lease has ended, and forgets them."""
        now = self._clock()
        expired = [worker for worker, end in self._ends.items() if end <= now]
        for worker in expired:
            del self._ends[worker]
        return expired
