"""The epoch loop: grow, prune, train, evaluate, log, checkpoint."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.graph import Architecture, Block, Scaling
from kgrow.growing import GrowthState
from kgrow.lifecycle.best import accuracy_to_reach
from kgrow.lifecycle.checkpoint import Snapshot
from kgrow.lifecycle.clock import check_time
from kgrow.lifecycle.loss import exit_weights, joint_loss
from kgrow.lifecycle.observer import Observer
from kgrow.lifecycle.settings import Settings
from kgrow.lifecycle.trainer import Trainer, TrainerPool
from kgrow.lifecycle.validation import accuracy_per_head, loss_per_head
from kgrow.network import GrowingNetwork
from kgrow.pruning import prune, prune_channels
from kgrow.pruning.batches import saliency_batches
from kgrow.pruning.criterion import priced
from kgrow.run import Run
from kgrow.task import Task

LAST, BEST = "last.npz", "best.npz"


class TrainingDivergedError(ArithmeticError):
    """The loss is no longer a number."""


class Lifecycle:
    """One network's life under given keep ratios, in its own run directory.

    Every random choice depends on the seed and the epoch or step alone, so a run that is resumed, or forked from
    another run's snapshot, continues exactly as an unbroken one.

    Args:
        task: The data; the test split is not touched.
        target: What the network grows into.
        keep_ratios: Final kept fraction per block.
        settings: How it is trained.
        run: Where events and checkpoints go.
        observer: Told what happens.
        pool: Where trainers of other networks wait, and this one's goes in the end; all of equal settings.
    """

    def __init__(
        self,
        task: Task,
        target: Architecture,
        keep_ratios: Sequence[float],
        settings: Settings,
        run: Run,
        observer: Observer,
        pool: TrainerPool | None = None,
    ):
        settings.preset.check_batch_size(len(task.train))
        self.task, self.target, self.keep_ratios, self.settings, self.run = task, target, keep_ratios, settings, run
        self.observer, self.pool = observer, pool or TrainerPool()
        self.policy = settings.preset.growth_policy()
        self.schedule = settings.preset.pruning_schedule()
        self.events: list[dict[str, Any]] = []

    def train(
        self,
        start: Snapshot | None = None,
        snapshot_epochs: Mapping[int, Callable[[Snapshot], None]] | None = None,
        deadline: float = float("inf"),
        epochs: int | None = None,
        stop: Callable[[Lifecycle], bool] | None = None,
        needs_checkpoint: bool = False,
    ) -> int:
        """Trains to the end, from the run's last checkpoint if it has one.

        Args:
            start: Another run's snapshot to fork from, unless this run is further already.
            snapshot_epochs: By epoch, what is to be done with a snapshot taken before that epoch's events.
            deadline: `time.monotonic()` at which the run stops, after the step at hand.
            epochs: Where to end, if that is before the preset's end; the schedule stays that of the whole run.
            stop: Asked after every epoch whether training ends here. It leaves the network as it is, and what it
                needs again it logs: an interrupted run asks it again, and a later process may be the one that asks.
            needs_checkpoint: Whether an epoch is trained whatever the time is, if there is no checkpoint yet.

        Returns:
            The number of epochs trained, fewer than `epochs` if `stop` said so.

        Raises:
            OutOfTimeError: If the deadline passed before the end.
        """
        with self._scope():
            epoch = self._resume(start)
        end = epochs or self.settings.preset.epochs
        try:
            return self._live(epoch, end, snapshot_epochs or {}, deadline, stop, needs_checkpoint)
        finally:
            self.pool.give_back(self.trainer)

    def _live(
        self,
        epoch: int,
        end: int,
        snapshot_epochs: Mapping[int, Callable[[Snapshot], None]],
        deadline: float,
        stop: Callable[[Lifecycle], bool] | None,
        needs_checkpoint: bool,
    ) -> int:
        while epoch < end:
            if epoch and stop is not None and stop(self):
                break
            if epoch in snapshot_epochs:
                snapshot_epochs[epoch](self._snapshot(epoch))
            until = float("inf") if needs_checkpoint and not self.run.has(LAST) else deadline
            check_time(until, epoch)
            self._change_structure(epoch)
            with self._scope():
                self._train_epoch(epoch, until)
            epoch += 1
            self._snapshot(epoch).save(self.run, LAST)
        return epoch

    @property
    def final_structure_epoch(self) -> int:
        """The first epoch after which the structure no longer changes, under a growth schedule fixed in advance."""
        return self.settings.preset.final_structure_epoch(len(self.target.blocks))

    def _resume(self, start: Snapshot | None) -> int:
        snapshot = Snapshot.load(self.run, LAST) if self.run.has(LAST) else start
        if snapshot is None:
            self.events = []
            self.run.truncate(0)
            self.network = GrowingNetwork(dataclasses.replace(self.target, blocks=()), seed=self.settings.seed)
            self._grow(0)
            self.trainer = self._new_trainer()
            return 0
        self.events = list(snapshot.events)
        if self.run.has(LAST):
            self.run.truncate(len(self.events))
        else:
            self.run.truncate(0)
            for event in self.events:
                self.run.append(event)
            if snapshot.best is not None:
                snapshot.best.save(self.run, BEST)
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
        settings = self.settings
        return Trainer(self.network, settings.preset, settings.augmentation, settings.seed, settings.class_weights)

    def _scope(self) -> contextlib.AbstractContextManager[Any]:
        """Returns where variables of the network are made, assigned and read as those of all replicas."""
        return contextlib.nullcontext() if self.settings.strategy is None else self.settings.strategy.scope()

    def _snapshot(self, epoch: int) -> Snapshot:
        with self._scope():
            return Snapshot.take(self.trainer, epoch, tuple(self.events))

    def log(self, event: dict[str, Any]) -> None:
        """Appends an event; it stays if training goes on after it."""
        self.run.append(event)
        self.events.append(event)
        self.observer.event(self.run.path.name, event)

    def _change_structure(self, epoch: int) -> None:
        with self._scope():
            if self._grow(epoch):
                self.trainer.rebuild()
        due = self.schedule.ranked(epoch, self.keep_ratios, self.settings.scope)
        due = {block: ratio for block, ratio in due.items() if block < len(self.network.blocks)}
        if due:
            self._prune(epoch, due)

    def _grow(self, epoch: int) -> bool:
        grown = False
        history = tuple(event for event in self.events if event["event"] == "epoch")
        while True:
            growth = self.policy.propose(GrowthState(epoch, self.network.architecture, self.target, history))
            if growth is None:
                return grown
            self.network.grow(growth.block)
            block = len(self.network.blocks) - 1
            self.log({"event": "grew", "epoch": epoch, "block": block, "spec": growth.block.to_json()})
            self.run.write_json("architecture.json", self.network.architecture.to_json())
            grown = True

    def _prune(self, epoch: int, due: Mapping[int, float]) -> None:
        preset = self.settings.preset
        # What is removed is gone for good, so every head counts as much as it will at the end of its ramp: under the
        # small weights of an early epoch the first heads would lose all their connections.
        weights = self._head_weights(preset.epochs - 1)
        batches = saliency_batches(self.task.train, preset.saliency_examples, (self.settings.seed, epoch, 1))

        def loss(logits: Any, labels: Any) -> Any:
            return joint_loss(
                logits, labels, weights, preset.label_smoothing, class_weights=self.settings.class_weights
            )

        channels, network, share = self.settings.channels, self._scored(), self.schedule.price_share(epoch)
        if channels:
            ratios = {b: ratio for b, ratio in self.schedule.due(epoch, channels.keep_ratios).items() if b in due}
            prune_channels(network, ratios, priced(channels.criterion, share), batches, loss, channels.multiple_of)
        prune(network, due, priced(self.settings.criterion, share), batches, loss, self.settings.scope)
        with self._scope():
            if network is not self.network:
                self.network.load_state(network.state())
            self.trainer.mask_momentum()
        for block, ratio in due.items():
            kept, size = self.network.kept_params(block), self.network.architecture.kernel_params(block)
            counts = {"kept_params": kept, "prunable_params": size}
            self.log({"event": "pruned", "epoch": epoch, "block": block, "keep_ratio": ratio, **counts})

    def _scored(self) -> GrowingNetwork:
        """Returns the network for a criterion: variables of several replicas have no gradient outside of a step."""
        if self.settings.strategy is None:
            return self.network
        with self._scope():
            state = self.network.state()
        twin = GrowingNetwork(self.network.architecture, seed=self.network.seed)
        twin.load_state(state)
        return twin

    def _head_weights(self, epoch: int) -> np.ndarray:
        preset = self.settings.preset
        return exit_weights(self.network.architecture, epoch + 1, preset.epochs, preset.exit_weights)

    def _training_weights(self, epoch: int) -> np.ndarray:
        weights = self._head_weights(epoch)
        weights[:-1] *= self.settings.preset.exit_scale
        return weights

    def _train_epoch(self, epoch: int, deadline: float) -> None:
        preset, seed = self.settings.preset, self.settings.seed
        started = time.monotonic()
        total = len(self.task.train) // preset.batch_size

        def on_step(done: int) -> None:
            self.observer.progress(self.run.path.name, epoch, done, total)
            check_time(deadline if done < total else float("inf"), epoch)

        loss = self.trainer.train_epoch(
            self.task.train.batches(preset.batch_size, shuffle_seed=(seed, epoch), drop_remainder=True),
            epoch,
            self._training_weights(epoch),
            total,
            on_step,
        )
        logits = self.network.logits(self.task.validation.images)
        if not (np.isfinite(loss) and np.isfinite(logits).all()):
            raise TrainingDivergedError(
                f"Loss and logits must be finite, but are not in epoch {epoch}, whose mean training loss is {loss}. A "
                "lower `learning_rate` in the preset usually mends it."
            )
        accuracy = accuracy_per_head(logits, self.task.validation.labels)
        event = {"event": "epoch", "epoch": epoch, "loss": loss, "val_accuracy": accuracy}
        event["val_loss"] = loss_per_head(logits, self.task.validation.labels)
        is_best = epoch >= self.final_structure_epoch and accuracy[-1] >= self._accuracy_to_reach()
        event |= {"kept_params": self.network.kept_params(), "is_best": is_best}
        self.log({**event, "seconds": round(time.monotonic() - started, 3)})
        if is_best:
            self._snapshot(epoch + 1).save(self.run, BEST)

    def _accuracy_to_reach(self) -> float:
        """Returns the validation accuracy of the final head from which an epoch replaces the best checkpoint.

        Only epochs since the last structural event count: an unpruned or shorter network must not win.
        """
        since = [e for e in self.events if e["event"] == "epoch" and e["epoch"] >= self.final_structure_epoch]
        highest = max((event["val_accuracy"][-1] for event in since), default=0.0)
        return accuracy_to_reach(highest, len(self.task.validation))


def fold(
    events: Sequence[Mapping[str, Any]], input_shape: tuple[int, int, int], num_classes: int, scaling: Scaling
) -> Architecture:
    """Returns the architecture that a run's log stands for."""
    architecture = Architecture(input_shape, num_classes, scaling)
    for event in events:
        if event["event"] == "grew":
            architecture = architecture.grow(Block.from_json(event["spec"]))
    return architecture
