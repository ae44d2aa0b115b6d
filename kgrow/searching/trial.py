"""`Trial`: the outcome of one candidate."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Trial:
    """The outcome of one candidate.

    Args:
        trial: Name of the trial, and of its directory under `trials/`.
        keep_ratios: Keep ratio per block.
        values: Hyper-parameters of the candidate.
        status: `"done"`, `"cut"` (ended early as not promising), `"stopped"` (out of time) or `"failed"`.
        val_accuracy: Validation accuracy of the final head at the kept checkpoint; None if there is none.
        mean_val_accuracy: Mean of the same over the last epochs up to that checkpoint, or the estimate.
        mean_val_loss: Mean validation loss of the final head over the same epochs, in nats; None for an estimate.
        objective: Objective of the search, from the mean accuracy; None if there is no accuracy.
        prunable_params: Connections of the full network.
        kept_params: Connections that the final masks keep.
        macs: Multiply-accumulates per image, pruned connections included.
        flash_bytes: Predicted size of the file.
        ram_bytes: Predicted memory for activations.
        epochs: Number of its training epochs, including shared prefixes.
        epochs_trained: Number of its own epochs, without those of a shared prefix.
        estimated: Whether the accuracy is approximate because the candidate was not trained to its end.
        unfinished: Whether the time ended before the network had its final structure: blocks may be missing, and
            connections may not be pruned yet.
        same_as: Earlier trial of the same candidate, whose outcome is reused.
        error: Message of the failure.
        traceback: Traceback of the failure.
    """

    trial: str
    keep_ratios: tuple[float, ...]
    values: dict[str, float | int | str]
    status: str
    val_accuracy: float | None
    objective: float | None
    prunable_params: int
    kept_params: int
    macs: int
    flash_bytes: int
    ram_bytes: int
    epochs: int
    epochs_trained: int = 0
    estimated: bool = False
    unfinished: bool = False
    same_as: str | None = None
    error: str | None = None
    traceback: str | None = None
    mean_val_accuracy: float | None = None
    mean_val_loss: float | None = None

    def __post_init__(self) -> None:
        check_name(self.trial)
        check_name(self.same_as or self.trial)


def check_name(trial: str) -> None:
    """Raises ValueError if this is not a trial name: it is part of paths, and may come from a file."""
    if not re.fullmatch("[0-9]{4,}", trial):
        raise ValueError(f"`trial` must be a number of four digits, but got {trial!r}.")


def check_same_proposal(trial: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Checks that a restarted oracle repeats its proposal for a trial.

    Args:
        trial: Name of the trial.
        before: Hyper-parameters in the run directory.
        now: Hyper-parameters that the oracle proposes now.

    Raises:
        ValueError: If they differ.
    """
    if before != now:
        raise ValueError(
            f"`oracle` must propose what it proposed before the search was interrupted, but trial {trial} was {before} "
            f"and is now {now}. Give the oracle a seed."
        )
