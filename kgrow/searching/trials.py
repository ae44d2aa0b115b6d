"""Trials that share their work: equal training up to a structural event is done once."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable

from kgrow.graph.image_size import at_image_size
from kgrow.lifecycle import BEST, LAST, Lifecycle, Settings, Snapshot, TrainerPool
from kgrow.lifecycle.judged import judged_images
from kgrow.registry import is_foreign, origin
from kgrow.run import Run
from kgrow.searching.choice import ACCURATE, Choice, mean_figures
from kgrow.searching.footprint import costs
from kgrow.searching.objective import Objective
from kgrow.searching.prefixes import Prefixes
from kgrow.searching.proposals import Proposal
from kgrow.searching.trial import Trial, check_same_proposal
from kgrow.task import Task
from kgrow.training import Observer, OutOfTimeError, TrainingDivergedError
from kgrow.training.validation import accuracy_per_head

Stop = Callable[[Lifecycle], bool]

OUTCOME, FORK = "outcome.json", "fork.json"
FORKED = {"epoch": int, "values": dict[str, float | int | str]}
# If the file of the best breaks a limit, the next one is tried, up to this number; they stay on disk.
NETWORKS_KEPT = 3
# Fraction of the time left that a further candidate may take.
LATER_SHARE = 0.5


class Trials:
    """Trains candidates one after the other in sub-directories of a run, each shared prefix once.

    A prefix is exact, not an approximation: a forked trial ends bit for bit like one trained alone. Future candidates
    are not known, so every trial stores a snapshot, and its log, before the first change of each epoch. The policies of
    another trial are asked whether they would have written that log.

    Args:
        task: Data of the search.
        settings: Training settings of all candidates.
        objective: Objective that ranks them.
        full_macs: Multiply-accumulates of the largest network of the space: the unit of energy.
        run: Run directory of the search.
        observer: Observer that is notified of events.
        prefer: Preference between networks that accuracies cannot distinguish; see `Choice`.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        objective: Objective,
        full_macs: int,
        run: Run,
        observer: Observer,
        prefer: str = ACCURATE,
    ):
        self.task, self.settings, self.objective, self.full_macs = task, settings, objective, full_macs
        self.run, self.observer = run, observer
        self.num_judged = len(judged_images(task, settings.preset))
        self.choice = Choice(prefer, self.num_judged, objective.counts_energy)
        self.outcomes: dict[int, Trial] = {}
        self._paces: dict[int, int] = {}  # multiply-accumulates of candidates that were trained, the latest last
        self.pool = TrainerPool()
        # Before it, with fixed growth epochs, all trials of an architecture are equal.
        self.first_event = min(settings.preset.prune_epochs, default=settings.preset.epochs)
        self.prefixes = Prefixes(run, settings, self.first_event)

    def train(
        self,
        index: int,
        proposal: Proposal,
        deadline: float = float("inf"),
        stop: Stop | None = None,
    ) -> Trial:
        """Trains a candidate, resumes it, or returns its known outcome.

        Args:
            index: Number of the trial.
            proposal: Candidate to train.
            deadline: `time.monotonic()` value after which no epoch is started.
            stop: Function that may end the training; see `Lifecycle.train`. A trial that it ends has no outcome yet:
                without it a later call resumes the trial.

        Raises:
            ValueError: If the run contains another candidate under this number.
        """
        trial = self.known(index, proposal) or self._train(index, proposal, deadline, stop)
        if trial.status == "done" and trial.same_as is None:
            self._paces[index] = proposal.footprint.macs
        self.accept(index, trial)
        return trial

    def fits(self, index: int, proposal: Proposal, deadline: float) -> bool:
        """Returns whether there is time to train a candidate to its end, at the pace of an earlier one.

        The first one is always trained, and so is one that has begun. A further one may take half of the time that is
        left: the rest trains the best one on.

        Args:
            index: Number of the trial.
            proposal: Candidate to train.
            deadline: `time.monotonic()` value at which the training ends.
        """
        begun = self.directory(index)
        if deadline == float("inf") or begun.has(FORK) or begun.has(OUTCOME) or not self._paces:
            return True
        earlier, macs = list(self._paces.items())[-1]
        epochs = [event for event in self.directory(earlier).events() if event["event"] == "epoch"]
        start = self.prefixes.shared_epochs(proposal.candidate)
        expected_s = sum(event["seconds"] for event in epochs if event["epoch"] >= start)
        # A smaller network is not faster in proportion: its steps cost more than their arithmetic.
        left_s = deadline - time.monotonic()
        return expected_s * max(1.0, proposal.footprint.macs / macs) <= LATER_SHARE * left_s

    def accept(self, index: int, trial: Trial) -> None:
        """Records the outcome of a trial, and removes files that are no longer needed."""
        self.outcomes[index] = trial
        self._clean()

    def estimated(self, index: int, proposal: Proposal, status: str, accuracy: float | None, epochs: int) -> Trial:
        """Returns the outcome of a candidate whose accuracy was estimated."""
        return dataclasses.replace(self._trial(index, proposal, status, accuracy, epochs), estimated=True)

    def num_finished(self) -> int:
        """Returns the number of trials with an outcome in the run directory, from this process or an earlier one."""
        count = 0
        while self.directory(count).has(OUTCOME):
            count += 1
        return count

    def num_begun(self) -> int:
        """Returns the number of trials with any file in the run directory."""
        begun = (int(folder.name) for folder in self.run.path.glob("trials/[0-9]*") if any(folder.iterdir()))
        return max(begun, default=-1) + 1

    def ranked(self) -> list[int]:
        """Returns the trials that were trained to their end, in the order of `Choice`.

        Trials that ran out of time are included, after all others if they had not reached their final structure. Trials
        that were cut on purpose are not.
        """
        return self.choice.order(self.complete())

    def complete(self) -> dict[int, Trial]:
        """Returns the trials that may win."""
        return {
            index: trial
            for index, trial in self.outcomes.items()
            if trial.objective is not None and trial.same_as is None and trial.epochs == self.settings.preset.epochs
        }

    def directory(self, index: int) -> Run:
        """Returns the sub-directory of a trial."""
        return self.run.child(f"trials/{index:04d}")

    def known(self, index: int, proposal: Proposal) -> Trial | None:
        """Returns the outcome of a trained candidate, under this number or another one; None if it was not trained.

        Raises:
            ValueError: If the run contains another candidate under this number.
        """
        directory = self.directory(index)
        if directory.has(OUTCOME):
            trial = directory.read_json(OUTCOME, Trial)
            check_same_proposal(trial.trial, trial.values, proposal.values)
            return trial
        for earlier in self.outcomes.values():
            if (earlier.values, earlier.status) == (proposal.values, "done"):
                first = earlier.same_as or earlier.trial
                trial = dataclasses.replace(earlier, trial=f"{index:04d}", same_as=first, epochs_trained=0)
                directory.write_json(OUTCOME, dataclasses.asdict(trial))
                return trial
        return None

    def _train(self, index: int, proposal: Proposal, deadline: float, stop: Stop | None = None) -> Trial:
        candidate, directory, epochs = proposal.candidate, self.directory(index), self.settings.preset.epochs
        self.observer.trial_started(directory.path.name, candidate.keep_ratios, epochs)
        lifecycle = Lifecycle(
            self.task,
            candidate.architecture,
            candidate.keep_ratios,
            self.settings,
            directory,
            self.observer,
            self.pool,
            candidate.initial,
        )
        start = self.prefixes.load(candidate)
        if directory.has(FORK):  # a resumed trial may find prefixes that it stored itself
            check_same_proposal(directory.path.name, directory.read_json(FORK, FORKED)["values"], proposal.values)
        else:
            directory.write_json(FORK, {"epoch": start.epoch if start else 0, "values": proposal.values})
        status, error, trace = "done", None, None
        try:
            ended = lifecycle.train(start, self.prefixes.keep, deadline, stop=stop, needs_checkpoint=not self.ranked())
            status, epochs = ("cut", ended) if ended < epochs else ("done", epochs)
        except OutOfTimeError:
            status = "stopped"
        except TrainingDivergedError as problem:
            status, error, trace = "failed", str(problem), traceback.format_exc()
        trial = self._outcome(index, proposal, lifecycle, status, epochs)
        if status == "done" and trial.val_accuracy is None:
            unsettled = lifecycle.unsettled  # kgrow's own policies wait for others
            names = ", ".join(map(origin, filter(is_foreign, unsettled))) or ", ".join(map(origin, unsettled))
            error = f"no epoch had the final structure, because {names} never settled."
        trial = dataclasses.replace(trial, error=error, traceback=trace)
        if status == "cut":  # the rule that cut it estimates its final accuracy
            return dataclasses.replace(trial, estimated=True)
        if status != "stopped":
            directory.write_json(OUTCOME, dataclasses.asdict(trial))
        self.observer.trial_finished(directory.path.name, dataclasses.asdict(trial))
        return trial

    def _judged(self, trial: Trial, proposal: Proposal, lifecycle: Lifecycle) -> Trial:
        """Returns a trial with a checkpoint, with its means over epochs and the actual counts of its network."""
        architecture = lifecycle.network.architecture
        known = costs(architecture, proposal.quantization, proposal.input_dtype)
        trial = dataclasses.replace(
            trial,
            kept_params=lifecycle.network.kept_params(),
            prunable_params=max(trial.prunable_params, architecture.kernel_params()),  # a policy may widen it
            macs=known.macs,
            flash_bytes=known.flash_bytes,
            ram_bytes=known.ram_bytes,
        )
        means = mean_figures(lifecycle.events, lifecycle.settled_since)
        if means is None:
            return trial
        accuracy, loss = means
        objective = self.objective.reward(accuracy, trial.macs / self.full_macs)
        return dataclasses.replace(trial, objective=objective, mean_val_accuracy=accuracy, mean_val_loss=loss)

    def _outcome(self, index: int, proposal: Proposal, lifecycle: Lifecycle, status: str, epochs: int) -> Trial:
        """Returns the outcome of a candidate, without its errors."""
        directory, events = lifecycle.run, lifecycle.events
        since = lifecycle.settled_since
        epochs_since = [e for e in events if e["event"] == "epoch" and since is not None and e["epoch"] >= since]
        bests = [event["val_accuracy"][-1] for event in epochs_since if event["is_best"]]
        accuracy = bests[-1] if bests and status != "failed" and directory.has(BEST) else None
        trained = sum(event["event"] == "epoch" for event in events) - directory.read_json(FORK, FORKED)["epoch"]
        trial = dataclasses.replace(self._trial(index, proposal, status, accuracy, epochs), epochs_trained=trained)
        if accuracy is not None:
            return self._judged(trial, proposal, lifecycle)
        return self._as_it_stands(directory, trial) if status == "stopped" and directory.has(LAST) else trial

    def _as_it_stands(self, directory: Run, trial: Trial) -> Trial:
        """Keeps the network of the last checkpoint: it is the result if no trial has one of its final structure."""
        snapshot = Snapshot.load(directory, LAST)
        accuracy = next(event["val_accuracy"][-1] for event in reversed(snapshot.events) if event["event"] == "epoch")
        whole = at_image_size(snapshot.architecture, self.task.input_shape[:2])
        if whole != snapshot.architecture:  # so far it was trained and judged on smaller images
            snapshot, validation = dataclasses.replace(snapshot, architecture=whole), self.task.validation
            accuracy = float(accuracy_per_head(snapshot.network().logits(validation.images), validation.labels)[-1])
        snapshot.save(directory, BEST)
        kept = sum(int(snapshot.arrays[f"{kernel.name}/mask"].sum()) for kernel in snapshot.architecture.kernels())
        reward = self.objective.reward(accuracy, trial.macs / self.full_macs)
        trial = dataclasses.replace(trial, val_accuracy=accuracy, mean_val_accuracy=accuracy, unfinished=True)
        return dataclasses.replace(trial, objective=reward, kept_params=kept)

    def _trial(self, index: int, proposal: Proposal, status: str, accuracy: float | None, epochs: int) -> Trial:
        footprint = dataclasses.asdict(proposal.footprint)
        kept = footprint.pop("params")
        energy = footprint["macs"] / self.full_macs
        return Trial(
            trial=f"{index:04d}",
            keep_ratios=proposal.candidate.keep_ratios,
            values=proposal.values,
            status=status,
            val_accuracy=accuracy,
            objective=None if accuracy is None else self.objective.reward(accuracy, energy),
            prunable_params=proposal.candidate.architecture.kernel_params(),
            kept_params=kept,
            epochs=epochs,
            mean_val_accuracy=accuracy,
            **footprint,
        )

    def _clean(self) -> None:
        """Keeps the networks that may win and the prefixes that were used last."""
        finished = {i: trial for i, trial in self.outcomes.items() if trial.status in ("done", "failed")}
        # A stopped trial may end worse than it is now, so it does not displace finished trials.
        ended = {index: trial for index, trial in self.complete().items() if index in finished}
        kept = self.choice.promising(ended, NETWORKS_KEPT)
        for index in finished:
            self.directory(index).remove(LAST)
            if index not in kept:
                self.directory(index).remove(BEST)
        self.prefixes.clean()

    def finish(self) -> None:
        """Removes files that only further trials would need."""
        self.prefixes.clear()
