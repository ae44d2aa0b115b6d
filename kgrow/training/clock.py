"""The time that training may take."""

import time


class OutOfTimeError(TimeoutError):
    """The time allowed is over; the run can be resumed."""


def check_time(deadline: float, epoch: int) -> None:
    """Raises OutOfTimeError if the time allowed is over.

    Args:
        deadline: Of `time.monotonic()`.
        epoch: The epoch that does not end or begin any more.
    """
    if time.monotonic() > deadline:
        raise OutOfTimeError(f"The time allowed ended before epoch {epoch} did; the last checkpoint is kept.")
