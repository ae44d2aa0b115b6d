"""The time limit of training."""

import time


class OutOfTimeError(TimeoutError):
    """An error for the end of the allowed time; the run can be resumed."""


def check_time(deadline: float, epoch: int) -> None:
    """Raises OutOfTimeError if the allowed time is over.

    Args:
        deadline: `time.monotonic()` value at which the allowed time ends.
        epoch: Number of the epoch that cannot end or begin.
    """
    if time.monotonic() > deadline:
        raise OutOfTimeError(f"The time allowed ended before epoch {epoch} did; the last checkpoint is kept.")
