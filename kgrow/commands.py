"""What every command of the command line needs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from kgrow.task.sources import check_exists

DONE, FAILED, BAD_USAGE, LIMITS_NOT_MET, INTERRUPTED = 0, 1, 2, 3, 130


def check_data(options: argparse.Namespace) -> None:
    """Raises an error for missing data before TensorFlow is imported, which is slow."""
    if options.dataset is not None:
        check_exists(options.dataset, options.data_dir, "dataset")


def say(text: str) -> None:
    """Writes a message for the user to standard error."""
    print(text, file=sys.stderr, flush=True)


def write(show: Callable[[], None]) -> None:
    """Writes a result to standard output; a reader that has closed the pipe is no error."""
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe; without this the interpreter reports it again at its final flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
