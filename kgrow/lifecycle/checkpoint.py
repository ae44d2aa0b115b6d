"""`Snapshot`: everything a run needs to resume, as arrays and JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kgrow._encoding import decode_arrays
from kgrow._schema import decoded
from kgrow.graph import Architecture
from kgrow.lifecycle.trainer import Trainer
from kgrow.network import GrowingNetwork
from kgrow.run import Run

MOMENTUM = "momentum/"


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The state of a run at an epoch boundary, before the structural events of `epoch`.

    Args:
        epoch: Number of trained epochs.
        architecture: Architecture as grown so far.
        seed: Random seed of the network's initial values.
        arrays: Weights, masks and BN statistics by name, and the optimizer's slots under `momentum/`.
        step_number: Number of optimizer steps taken.
        events: Log of the run so far.
    """

    epoch: int
    architecture: Architecture
    seed: int
    arrays: dict[str, np.ndarray]
    step_number: int
    events: tuple[dict[str, Any], ...]

    @staticmethod
    def take(trainer: Trainer, epoch: int, events: tuple[dict[str, Any], ...]) -> Snapshot:
        """Captures the current state of a network and its trainer."""
        slots = {MOMENTUM + name: slot for name, slot in trainer.momentum().items()}
        network = trainer.network
        arrays = {**network.state(), **slots}
        return Snapshot(epoch, network.architecture, network.seed, arrays, trainer.step.number, events)

    def renewed(self, architecture: Architecture) -> Snapshot:
        """Returns the start of another training: the same weights and masks, no slots, no steps and no log.

        Args:
            architecture: The same architecture, or its first blocks.
        """
        arrays = {name: array.copy() for name, array in self.arrays.items() if not name.startswith(MOMENTUM)}
        return Snapshot(0, architecture, self.seed, arrays, 0, ())

    def network(self) -> GrowingNetwork:
        """Rebuilds the network."""
        return GrowingNetwork.of(self.architecture, self.arrays, self.seed)

    def restore(self, trainer: Trainer) -> None:
        """Restores the optimizer's state in a trainer of the rebuilt network."""
        trainer.step.number = self.step_number
        trainer.load_momentum(
            {name.removeprefix(MOMENTUM): value for name, value in self.arrays.items() if name.startswith(MOMENTUM)}
        )

    def save(self, run: Run, name: str) -> None:
        """Writes the snapshot atomically."""
        metadata = {field.name: getattr(self, field.name) for field in dataclasses.fields(Metadata)}
        run.save_arrays(name, self.arrays, {**metadata, "architecture": self.architecture.to_json()})

    @staticmethod
    def load(run: Run, name: str) -> Snapshot:
        """Reads a snapshot that `save` wrote."""
        return _of(*run.load_arrays(name, Metadata))

    @staticmethod
    def decode(data: bytes, name: str) -> Snapshot:
        """Returns the snapshot of a file's content; `name` is the file name in error messages."""
        return _of(*decode_arrays(data, name, Metadata))


@dataclasses.dataclass(frozen=True)
class Metadata:
    """The metadata of a snapshot's file; see `Snapshot` for the fields."""

    epoch: int
    architecture: Architecture
    seed: int
    step_number: int
    events: tuple[dict[str, Any], ...]

    def __post_init__(self) -> None:
        for index, event in enumerate(self.events):
            decoded({"event": str}, event, f"events[{index}]")
            if event["event"] == "epoch":
                decoded({"epoch": int, "val_accuracy": [float], "is_settled": bool}, event, f"events[{index}]")


def _of(arrays: dict[str, np.ndarray], metadata: Metadata) -> Snapshot:
    return Snapshot(arrays=arrays, **vars(metadata))
