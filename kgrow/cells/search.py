"""The Bayesian search over gated cells: train, estimate the curvature, update switches, close gates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from kgrow._checks import check_non_negative_int, check_positive_int
from kgrow._keras import keras, tf
from kgrow._rules import check_fields, one_of, optional, within
from kgrow.bayes import (
    DEPENDENCIES,
    CrossEntropy,
    Curvature,
    ForwardPass,
    MonteCarloFisher,
    share_of_price,
    tiled_probe,
)
from kgrow.bayes.recursion import check_curvature
from kgrow.cells.epochs import EpochSearch, SearchRecord
from kgrow.cells.switches import SwitchGroup
from kgrow.cells.training import CellTrainer, Gating, SGDConfig
from kgrow.run import described
from kgrow.task import Task


class Space(Protocol):
    """Cells with gates."""

    @property
    def groups(self) -> Sequence[SwitchGroup]:
        """The gates; the network takes the products of each group as an input."""

    def network(self, previous: keras.Model | None) -> keras.Model:
        """Returns the network of the open gates, with the weights of the previous network if there is one."""

    def config(self) -> dict[str, Any]:
        """Returns the settings of the space, as plain JSON types."""


@dataclasses.dataclass(frozen=True)
class CellSearchSettings:
    """Settings of a cell search.

    Args:
        price: Price lambda of a gate, in nats per image: gates with less evidence are closed. Closing a gate costs
            about half its evidence. 0.01 in the source.
        weight_epochs: Number of epochs in which only weights are trained, so that gates do not judge untrained kernels;
            0 for none.
        num_loops: Number of updates, at a price that rises to the whole one; 1 in the source.
        epochs_per_loop: Number of epochs of joint training of weights and gates before an update; 1 in the source.
        max_gates: Largest number of open gates in each group, by evidence; the number falls by a constant factor from
            loop to loop. None keeps all that are worth the price.
        sgd: Training settings of weights and gates; the learning rate falls over all epochs.
        num_curvature_batches: Number of batches for the curvature estimate.
        curvature_batch_size: Number of images in each of them.
        dependency: Dependency of gates; see `bayes.dependent_gamma`.
        curvature: Curvature estimator.
    """

    price: float = 0.01
    weight_epochs: int = 1
    num_loops: int = 4
    epochs_per_loop: int = 1
    max_gates: int | None = None
    sgd: SGDConfig = dataclasses.field(default_factory=SGDConfig)
    num_curvature_batches: int = 10
    curvature_batch_size: int = 128
    dependency: str = "both"
    curvature: Curvature = dataclasses.field(default_factory=MonteCarloFisher)

    def __post_init__(self) -> None:
        counts = ("num_loops", "epochs_per_loop", "num_curvature_batches", "curvature_batch_size")
        rules = {
            **dict.fromkeys(counts, check_positive_int),
            "weight_epochs": check_non_negative_int,
            "max_gates": optional(check_positive_int),
            "price": within("(0, inf)", "It is in nats per image."),
            "dependency": one_of(DEPENDENCIES),
        }
        check_fields(self, rules)
        check_curvature(self.curvature)

    @property
    def num_epochs(self) -> int:
        """Total number of epochs."""
        return self.weight_epochs + self.num_loops * self.epochs_per_loop

    def gates_after(self, loop: int, num_gates: int) -> int:
        """Returns how many gates of a group may stay after a loop, from 1; the number falls by a constant factor."""
        most = self.max_gates or num_gates
        # The powers may be rounded up slightly: the last one is not rounded up.
        return math.ceil(num_gates * (most / num_gates) ** (loop / self.num_loops) - 1e-9)


class GatedModel:
    """A gated network as a `kgrow.bayes` model whose parameters are the gates.

    Args:
        network: Gated network; it is not changed.
        groups: Groups of its gates.
    """

    def __init__(self, network: keras.Model, groups: Sequence[SwitchGroup]):
        self._network, self._groups = network, groups

    @property
    def parameters(self) -> list[Any]:
        """The variables of all groups."""
        return [variable for group in self._groups for variable in group.variables]

    def run(self, images: Any) -> ForwardPass:
        """See `bayes.Model.run`; every image has a copy of the gates, so a batch gives per-image gradients."""
        images = tf.cast(images, keras.backend.floatx())
        products, probes = [], []
        for group in self._groups:
            copies = [tf.ones((len(images), 1, 1), images.dtype) * variable for variable in group.variables]
            probes += [tiled_probe(copy, v) for copy, v in zip(copies, group.variables, strict=True)]
            products.append(group.products(copies))
        return ForwardPass([self._network([images, *products], training=False)], probes)


class CellSearch(EpochSearch[SearchRecord]):
    """A running search; at the end the space keeps open the gates that the data support.

    Args:
        space: Space whose gates are trained and closed in place.
        task: Task to search on; only its training split is used.
        settings: Search settings.
        seed: Random seed of image order and augmentation.
    """

    def __init__(self, space: Space, task: Task, settings: CellSearchSettings, seed: int = 0):
        super().__init__(task, settings.num_epochs, seed)
        self.space, self.settings = space, settings
        self._num_trained = 0
        self.network: keras.Model
        self._trainer: CellTrainer
        self._build(None)

    def config(self) -> dict[str, Any]:
        """See `EpochSearch.config`."""
        settings = {**vars(self.settings), "sgd": vars(self.settings.sgd)}
        return {"space": self.space.config(), "settings": settings | {"curvature": described(self.settings.curvature)}}

    def result(self) -> SearchRecord:
        """See `EpochSearch.result`."""
        readmitted = any(group.was_readmitted for group in self.space.groups)
        return SearchRecord(tuple(self.losses), tuple(self.open_gates), readmitted, self.seconds)

    @property
    def num_steps(self) -> int:
        """See `EpochLoop.num_steps`."""
        return self._trainer.num_steps(self.task.train)

    def search_epoch(self, epoch: int, on_step: Callable[[int], None]) -> float:
        """See `EpochSearch.search_epoch`: the last epoch of a loop ends with an update."""
        loss = self._trainer.train_epoch(self.task.train, epoch, self.num_epochs, on_step=on_step)
        loop, rest = divmod(epoch + 1 - self.settings.weight_epochs, self.settings.epochs_per_loop)
        self._num_trained = epoch + 1
        if epoch + 1 == self.settings.weight_epochs:
            self._trainer = self._fresh_trainer()  # also for the gates
        elif loop > 0 and rest == 0:
            self.update(loop)
            self.open_gates.append(tuple(int(group.is_open.sum()) for group in self.space.groups))
        return loss

    def update(self, loop: int) -> None:
        """Estimates the curvature and updates all switches; a network that loses gates is rebuilt without them.

        Args:
            loop: Number of the loop that ends, from 1. Later loops have a higher price and allow fewer gates.
        """
        seed = (self.seed, self._num_trained, 1)
        split = self.task.train.batches(self.settings.curvature_batch_size, shuffle_seed=seed)
        batches = [batch for batch, _ in zip(split, range(self.settings.num_curvature_batches), strict=False)]
        found = self.settings.curvature.diagonal(GatedModel(self.network, self.space.groups), CrossEntropy(), batches)
        price = self.settings.price * share_of_price(loop, self.settings.num_loops)
        curvatures = iter(found)
        changed = []
        for group in self.space.groups:
            most = self.settings.gates_after(loop, group.num_gates)
            own = [next(curvatures) for _ in group.variables]
            changed.append(group.update(own, price, self.settings.dependency, most))
        if any(changed):
            self._build(self.network)

    def state(self) -> dict[str, np.ndarray]:
        """See `ResumableLoop.state`."""
        named = {f"group_{i}": group.state() for i, group in enumerate(self.space.groups)}
        named["trainer"] = self._trainer.state()
        return {f"{owner}/{name}": value for owner, values in named.items() for name, value in values.items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """See `ResumableLoop.load_state`."""
        self._num_trained = len(self.losses)
        for index, group in enumerate(self.space.groups):
            group.load_state(_of(state, f"group_{index}/"))
        self._build(None)
        self._trainer.load_state(_of(state, "trainer/"))

    def _build(self, previous: keras.Model | None) -> None:
        self.network = self.space.network(previous)
        self._trainer = self._fresh_trainer()

    def _fresh_trainer(self) -> CellTrainer:
        groups = self.space.groups

        def values() -> list[Any]:
            return [group.products(group.variables)[None] for group in groups]

        gates = [variable for group in groups for variable in group.variables]
        trained = gates if self._num_trained >= self.settings.weight_epochs else ()
        return CellTrainer(self.network, self.task, self.settings.sgd, self.seed, Gating(values, trained))


def _of(state: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
