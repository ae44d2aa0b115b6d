"""The epoch loop: grow, prune, train, evaluate, log, checkpoint."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph import Architecture
from kgrow.lifecycle.checkpoint import Snapshot
from kgrow.lifecycle.image_size import fitted, fitted_augmentation
from kgrow.lifecycle.judged import judged_images
from kgrow.lifecycle.scoring import scoring
from kgrow.lifecycle.settings import Settings
from kgrow.lifecycle.statistics import LiveStatistics
from kgrow.lifecycle.trainer import Trainer, TrainerPool
from kgrow.network import GrowingNetwork
from kgrow.registry import blamed, broken
from kgrow.run import Run
from kgrow.structure import Change, Decisions, Scoring, settled_since
from kgrow.structure.change import remasked_by
from kgrow.structure.decisions import told
from kgrow.structure.policy import Events, StructurePolicy
from kgrow.structure.statistics import Statistics
from kgrow.task import Augmentation, Task
from kgrow.training import EpochLoop, Observer, accuracy_to_reach, check_finite
from kgrow.training.loss import exit_weights
from kgrow.training.validation import accuracy_per_head, loss_per_head

LAST, BEST = "last.npz", "best.npz"


class Lifecycle(EpochLoop):
    """Trains one network with given keep ratios, in its own run directory.

    Every random choice depends only on the seed and the epoch or step. A run that is resumed, or forked from another
    run's snapshot, therefore continues exactly like an uninterrupted one.

    Args:
        task: Data of the training; the test split is not used.
        target: Final architecture of the network.
        keep_ratios: Final kept fraction of each block.
        settings: Training and pruning settings.
        run: Run directory for events and checkpoints.
        observer: Observer that is notified of events.
        pool: Pool of trainers of earlier networks with equal settings; this one's trainer is returned to it.
        initial: Initial values of the target's variables, by name; variables without one are initialized at random.
    """

    def __init__(  # noqa: PLR0913 - the last two have a default
        self,
        task: Task,
        target: Architecture,
        keep_ratios: Sequence[float],
        settings: Settings,
        run: Run,
        observer: Observer,
        pool: TrainerPool | None = None,
        initial: Mapping[str, np.ndarray] | None = None,
    ):
        settings.preset.check_batch_size(len(task.train))
        super().__init__(settings.preset.epochs, observer, run.path.name)
        self.run = run
        self.task, self.target, self.keep_ratios, self.settings = task, target, keep_ratios, settings
        self.pool, self._on_fork = pool or TrainerPool(), lambda snapshot: None
        self.decisions = Decisions(
            settings.policies, target, tuple(keep_ratios), self.num_epochs, initial or {}, settings.budget
        )
        self.judged = judged_images(task, settings.preset)
        self.events: list[dict[str, Any]] = []

    def train(
        self,
        start: Snapshot | None = None,
        on_fork: Callable[[Snapshot], None] = lambda snapshot: None,
        deadline: float = float("inf"),
        epochs: int | None = None,
        stop: Callable[[Lifecycle], bool] | None = None,
        needs_checkpoint: bool = False,
    ) -> int:
        """Trains to the end, or resumes from the run's last checkpoint.

        Args:
            start: Another run's snapshot to fork from, unless this run is already further.
            on_fork: Function called with a snapshot at every point where another run may fork: before the first change
                of an epoch.
            deadline: `time.monotonic()` value at which the run stops, after the current step.
            epochs: Number of epochs to train, if below the preset's; the schedule stays that of the whole run.
            stop: Function called after every epoch; True ends the training. It must leave the network unchanged and log
                everything it needs again: a resumed run calls it again, possibly in a later process.
            needs_checkpoint: Whether an epoch is trained regardless of the deadline if there is no checkpoint yet.

        Returns:
            The number of epochs trained; fewer than `epochs` if `stop` ended the training.

        Raises:
            OutOfTimeError: If the deadline passed before the end.
        """
        self._on_fork = on_fork
        with self._scope():
            epoch = self._resume(start)

        def until() -> float:
            return float("inf") if needs_checkpoint and not self.run.has(LAST) else deadline

        try:
            return self.go_on(epoch, epochs, deadline=until, stop=stop)
        finally:
            if self.network.blocks:
                self.pool.give_back(self.trainer)

    @property
    def settled_since(self) -> int | None:
        """The first epoch with the final structure; None while the structure can change."""
        return settled_since(self.events)

    @property
    def unsettled(self) -> list[StructurePolicy]:
        """The policies that were not settled in the last epoch."""
        *events, last = told(self.events)
        state = self.decisions.state(last["epoch"], self.network.architecture, tuple(events))
        return self.decisions.unsettled(state)

    def _resume(self, start: Snapshot | None) -> int:
        snapshot = Snapshot.load(self.run, LAST) if self.run.has(LAST) else start
        if snapshot is None:
            self.events = []
            self.run.truncate(0)
            self.network = GrowingNetwork(dataclasses.replace(self.target, blocks=()), seed=self.settings.seed)
            self.trainer = self._new_trainer()
            return 0
        self.events = list(snapshot.events)
        if self.run.has(LAST):
            self.run.truncate(len(self.events))
        else:
            self.run.truncate(0)
            for event in self.events:
                self.run.append(event)
        for event in self.events:
            self.observer.event(self.run.path.name, event)
        waiting = self.pool.take(snapshot.architecture)
        self.network = waiting.network if waiting else GrowingNetwork(snapshot.architecture, seed=snapshot.seed)
        self.network.load_state(snapshot.arrays)
        self.run.write_json("architecture.json", self.network.architecture.to_json())
        self.trainer = waiting or self._new_trainer()
        snapshot.restore(self.trainer)
        return snapshot.epoch

    def _new_trainer(self) -> Trainer:
        settings, augmentation = self.settings, self._augmentation(self.network.architecture)
        own = (settings.seed, settings.class_weights, settings.precision)
        return Trainer(self.network, settings.preset, augmentation, *own)

    def _augmentation(self, architecture: Architecture) -> Augmentation:
        return fitted_augmentation(self.settings.augmentation, min(self.task.input_shape[:2]), architecture)

    def _fitted(self, images: np.ndarray) -> np.ndarray:
        return fitted(images, self.network.architecture)

    def _scope(self) -> contextlib.AbstractContextManager[Any]:
        """Returns a scope in which the network's variables are created, assigned and read on all replicas."""
        return contextlib.nullcontext() if self.settings.distribution is None else self.settings.distribution.scope()

    def snapshot(self, epoch: int) -> Snapshot:
        """Returns everything that the run needs to resume after `epoch` epochs."""
        with self._scope():
            return Snapshot.take(self.trainer, epoch, tuple(self.events))

    def log(self, event: dict[str, Any]) -> None:
        """Appends an event to the log; it is kept if training resumes after it."""
        self.run.append(event)
        self.events.append(event)
        self.observer.event(self.run.path.name, event)

    def begin_epoch(self, epoch: int) -> None:
        """See `EpochLoop.begin_epoch`; asks the policies."""

        def look() -> tuple[int, Architecture, Events, Statistics]:
            return epoch, self.network.architecture, told(self.events), self.statistics(epoch)

        for number, (policy, change) in enumerate(self.decisions.changes(look)):
            if number == 0 and epoch:
                self._on_fork(self.snapshot(epoch))
            with blamed(policy):
                self._apply(epoch, change)
        if not self.network.blocks:
            raise broken(self.decisions.policies[0], "append a block before the first epoch", "appends none")

    def _apply(self, epoch: int, change: Change) -> None:
        architecture, weight_map = change.apply(self.network.architecture)
        if any(name.endswith("/mask") for name in weight_map.given):
            raise broken(change, "leave masks to `remask`", "gives some with its values")
        if architecture != self.network.architecture or weight_map.given or weight_map.taken:
            with self._scope():
                state, slots = self.network.state(), self.trainer.momentum()
                now = self.network.architecture
                if architecture.kernel_params() < now.kernel_params() or architecture.input_shape != now.input_shape:
                    self.trainer = self.pool.exchange(self.trainer, architecture, self._augmentation(architecture))
                    self.network = self.trainer.network
                else:
                    self.network.become(architecture)
                    self.trainer.rebuild({})
                self.network.load_state(weight_map.values(state, self.network.state()))
                self.trainer.load_momentum(weight_map.slots(slots))
            self.run.write_json("architecture.json", architecture.to_json())
        with self._scope():
            self.trainer.mask_momentum()  # it has followed the gradients of pruned weights; what comes back starts anew
        network = self._scored()
        remasked_by(change, network, self._scoring(epoch))
        with self._scope():
            if network is not self.network:
                self.network.load_state(network.state())
            self.trainer.mask_momentum()
        self.run.remove(BEST)  # of another network
        blocks = range(len(architecture.blocks))
        kept = [self.network.kept_params(block) for block in blocks]
        sizes = [architecture.kernel_params(block) for block in blocks]
        self.log({**change.entry(epoch), "kept_params": kept, "prunable_params": sizes})

    def statistics(self, epoch: int) -> Statistics:
        """Returns statistics of the current network, before an epoch."""
        return LiveStatistics(self.task, self.settings, epoch, self._scored, lambda: self._scoring(epoch))

    def _scoring(self, epoch: int) -> Scoring:
        # Pruning is permanent, so every head has the weight of the end of its ramp: under the small weights of an early
        # epoch the first heads would lose all their connections.
        weights = self._head_weights(self.settings.preset.epochs - 1)
        return scoring(self.task, self.settings, epoch, self.network.architecture, weights)

    def _scored(self) -> GrowingNetwork:
        """Returns the network for a criterion; variables of several replicas have no gradient outside of a step."""
        if self.settings.distribution is None:
            return self.network
        with self._scope():
            state = self.network.state()
        return GrowingNetwork.of(self.network.architecture, state, self.network.seed)

    def _head_weights(self, epoch: int) -> np.ndarray:
        preset = self.settings.preset
        return exit_weights(self.network.architecture, epoch + 1, preset.epochs, preset.exit_weights)

    def _training_weights(self, epoch: int) -> np.ndarray:
        weights, scale = self._head_weights(epoch), self.settings.preset.exit_scale
        return np.append(weights[:-1] * np.float32(scale), weights[-1:])

    @property
    def num_steps(self) -> int:
        """See `EpochLoop.num_steps`."""
        return self.settings.preset.num_steps(len(self.task.train))

    def save(self, epoch: int) -> None:
        """See `EpochLoop.save`."""
        self.snapshot(epoch).save(self.run, LAST)

    def train_epoch(self, epoch: int, on_step: Callable[[int], None]) -> None:
        """See `EpochLoop.train_epoch`."""
        with self._scope():
            self._train_epoch(epoch, on_step)

    def _train_epoch(self, epoch: int, on_step: Callable[[int], None]) -> None:
        preset, seed, started = self.settings.preset, self.settings.seed, time.monotonic()
        births = self.decisions.state(epoch, self.network.architecture, told(self.events)).births
        batches = self.task.train.batches(preset.batch_size, shuffle_seed=(seed, epoch), drop_remainder=True)
        loss = self.trainer.train_epoch(
            ((self._fitted(images), labels) for images, labels in itertools.islice(batches, self.num_steps)),
            epoch,
            self._training_weights(epoch),
            self.num_steps,
            on_step,
            births=births,
        )
        validation = self.judged
        logits, labels = self.network.logits(self._fitted(validation.images)), validation.labels
        check_finite(epoch, loss, logits)
        accuracy, losses = accuracy_per_head(logits, labels), loss_per_head(logits, labels)
        event = {"event": "epoch", "epoch": epoch, "loss": loss, "val_accuracy": accuracy, "val_loss": losses}
        state = self.decisions.state(epoch, self.network.architecture, told(self.events))
        is_settled = self.decisions.are_settled(state)
        is_best = is_settled and accuracy[-1] >= self._accuracy_to_reach()
        event |= {"kept_params": self.network.kept_params(), "is_settled": is_settled, "is_best": is_best}
        self.log({**event, "seconds": round(time.monotonic() - started, 3)})
        if is_best:
            self.snapshot(epoch + 1).save(self.run, BEST)

    def _accuracy_to_reach(self) -> float:
        """Returns the accuracy that an epoch needs to be the best since the last change: no other network may win."""
        first = self.settled_since
        since = [e for e in self.events if e["event"] == "epoch" and first is not None and e["epoch"] >= first]
        highest = max((event["val_accuracy"][-1] for event in since), default=0.0)
        return accuracy_to_reach(highest, len(self.judged))
