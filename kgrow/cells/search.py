"""The Bayesian search over gated cells: train, estimate the curvature, turn switches, close gates."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from kgrow._checks import check_non_negative_int, check_positive_int
from kgrow._keras import keras, tf
from kgrow.bayes import (
    DEPENDENCIES,
    CrossEntropy,
    Curvature,
    ForwardPass,
    MonteCarloFisher,
    share_of_price,
    tiled_probe,
)
from kgrow.cells.switches import SwitchGroup
from kgrow.cells.training import CellTrainer, Descent, Gating
from kgrow.task import Task


class Space(Protocol):
    """Cells with gates."""

    @property
    def groups(self) -> Sequence[SwitchGroup]:
        """The gates; the network takes the products of each group as an input."""

    def network(self, previous: keras.Model | None) -> keras.Model:
        """Returns the network of the gates that are open, with the weights of the previous one if there is one."""


@dataclasses.dataclass(frozen=True)
class CellSearchSettings:
    """How cells are searched.

    Args:
        price: Lambda of a gate, in nats per image: closed is what has less evidence. A gate costs about half its
            evidence when it is closed. 0.01 in the source.
        weight_epochs: Epochs in which only weights are trained, so that gates do not judge fresh kernels; 0 for none.
        num_loops: Updates, at a price that rises to the whole one; 1 in the source.
        epochs_per_loop: Epochs of weights and gates together before an update; 1 in the source.
        descent: Of weights and gates; the rate falls over all epochs.
        num_curvature_batches: Batches that the curvature is estimated on.
        curvature_batch_size: Images in each of them.
        dependency: See `bayes.dependent_gamma`.
        curvature: The estimate.
    """

    price: float = 0.01
    weight_epochs: int = 1
    num_loops: int = 4
    epochs_per_loop: int = 1
    descent: Descent = dataclasses.field(default_factory=Descent)
    num_curvature_batches: int = 10
    curvature_batch_size: int = 128
    dependency: str = "both"
    curvature: Curvature = dataclasses.field(default_factory=MonteCarloFisher)

    def __post_init__(self) -> None:
        for name in ("num_loops", "epochs_per_loop", "num_curvature_batches", "curvature_batch_size"):
            check_positive_int(getattr(self, name), name)
        check_non_negative_int(self.weight_epochs, "weight_epochs")
        if not self.price > 0:
            raise ValueError(f"`price` must be positive, but got {self.price!r}. It is in nats per image.")
        if self.dependency not in DEPENDENCIES:
            raise ValueError(
                f"`dependency` must be one of {', '.join(map(repr, DEPENDENCIES))}, but got {self.dependency!r}."
            )

    @property
    def num_epochs(self) -> int:
        """Epochs altogether."""
        return self.weight_epochs + self.num_loops * self.epochs_per_loop


@dataclasses.dataclass(frozen=True)
class SearchRecord:
    """How a search went.

    Args:
        losses: Mean loss of every epoch.
        open_gates: After every loop, the open gates of each group.
        was_readmitted: Whether some cell had lost its last path, and got the best one back.
        seconds: Altogether.
    """

    losses: tuple[float, ...]
    open_gates: tuple[tuple[int, ...], ...]
    was_readmitted: bool
    seconds: float


class GatedModel:
    """A gated network as `kgrow.bayes` sees it: its parameters are the gates.

    Args:
        network: Left as it was.
        groups: Of its gates.
    """

    def __init__(self, network: keras.Model, groups: Sequence[SwitchGroup]):
        self._network, self._groups = network, groups

    @property
    def parameters(self) -> list[Any]:
        """The variables of all groups."""
        return [variable for group in self._groups for variable in group.variables]

    def run(self, images: Any) -> ForwardPass:
        """See `bayes.Model.run`: every image has a copy of the gates, so a batch gives its single gradients."""
        images = tf.cast(images, keras.backend.floatx())
        products, probes = [], []
        for group in self._groups:
            copies = [tf.ones((len(images), 1, 1), images.dtype) * variable for variable in group.variables]
            probes += [tiled_probe(copy, v) for copy, v in zip(copies, group.variables, strict=True)]
            products.append(group.products(copies))
        return ForwardPass([self._network([images, *products], training=False)], probes)


class CellSearch:
    """A search while it runs.

    Args:
        space: Its gates are trained, and closed, in place.
        task: Only its training split is looked at.
        settings: How.
        seed: Of the order of images and of their changes.
    """

    def __init__(self, space: Space, task: Task, settings: CellSearchSettings, seed: int = 0):
        self.space, self.task, self.settings, self.seed = space, task, settings, seed
        self.network = space.network(None)
        self.losses: list[float] = []

    def run(self) -> SearchRecord:
        """Searches; the space then has open what the data support."""
        started = time.monotonic()
        self._train(CellTrainer(self.network, self.task, self.settings.descent, self.seed, self._gating(False)), True)
        open_gates: list[tuple[int, ...]] = []
        trainer: CellTrainer | None = None
        for loop in range(1, self.settings.num_loops + 1):
            if trainer is None:
                trainer = CellTrainer(self.network, self.task, self.settings.descent, self.seed, self._gating(True))
            self._train(trainer, False)
            if self.update(share_of_price(loop, self.settings.num_loops)):
                trainer = None
            open_gates.append(tuple(int(group.is_open.sum()) for group in self.space.groups))
        readmitted = any(group.was_readmitted for group in self.space.groups)
        return SearchRecord(tuple(self.losses), tuple(open_gates), readmitted, time.monotonic() - started)

    def _gating(self, is_trained: bool) -> Gating:
        groups = self.space.groups

        def values() -> list[Any]:
            return [group.products(group.variables)[None] for group in groups]

        variables = [variable for group in groups for variable in group.variables]
        return Gating(values, variables if is_trained else ())

    def _train(self, trainer: CellTrainer, is_first: bool) -> None:
        for _ in range(self.settings.weight_epochs if is_first else self.settings.epochs_per_loop):
            epoch = len(self.losses)
            self.losses.append(trainer.train_epoch(self.task.train, epoch, self.settings.num_epochs))

    def update(self, share: float = 1.0) -> bool:
        """Estimates the curvature, turns all switches, and returns whether a gate was closed.

        Args:
            share: Of the price that counts.
        """
        seed = (self.seed, len(self.losses), 1)
        split = self.task.train.batches(self.settings.curvature_batch_size, shuffle_seed=seed)
        batches = [batch for batch, _ in zip(split, range(self.settings.num_curvature_batches), strict=False)]
        found = self.settings.curvature.diagonal(GatedModel(self.network, self.space.groups), CrossEntropy(), batches)
        curvatures = iter(np.asarray(curvature) / (share * self.settings.price) for curvature in found)
        changed = [
            group.update([next(curvatures) for _ in group.variables], self.settings.dependency)
            for group in self.space.groups
        ]
        if any(changed):
            self.network = self.space.network(self.network)
        return any(changed)
