"""`Search`: runs a plan and writes a verified file and `result.json`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow._version import __version__
from kgrow.document import (
    best_document,
    candidate_document,
    choice_document,
    pareto_document,
    task_document,
    unpruned_document,
)
from kgrow.exporting import Artefact, ExportError, ExportOptions, classify
from kgrow.exporting.companions import write_companions
from kgrow.exporting.export import export_to
from kgrow.exporting.fine_tuning import FINE_TUNING
from kgrow.exporting.verify import lost_images, standard_error
from kgrow.lifecycle import BEST, Snapshot
from kgrow.network import GrowingNetwork
from kgrow.plan import SearchPlan
from kgrow.recorded import read_result, record_of
from kgrow.reporting.tensorboard import write_mistakes, write_tensorboard
from kgrow.reporting.wording import agreement, baseline, percent, unfinished
from kgrow.result import Result
from kgrow.run import MODEL, RESULT, Run
from kgrow.searching.course import cost, course
from kgrow.searching.engine import Ray
from kgrow.searching.estimating import name_of, searching_share
from kgrow.searching.estimating.calibration import calibration_of
from kgrow.searching.estimating.estimates import Estimates
from kgrow.searching.limits import LimitError
from kgrow.searching.prolonging import FOLDER as PROLONGED
from kgrow.searching.prolonging import prolonged
from kgrow.searching.time_limit import training_time
from kgrow.searching.trial import Trial
from kgrow.searching.trials import NETWORKS_KEPT, Trials
from kgrow.starting import start_of
from kgrow.structure.currency import market_document
from kgrow.task import Task
from kgrow.training import Observer, OutOfTimeError

if TYPE_CHECKING:
    from kgrow.searching.tuner import Trainable, Tuner

# Renamed to the model once the limits are known to be satisfied.
MEASURED = "measured.tflite"
# Largest loss of validation accuracy by 8 bits; if it is larger, the network is fine-tuned for these epochs.
LARGEST_DROP, FINE_TUNE_EPOCHS = 0.01, 3


class Search:
    """A search that is ready to run.

    Args:
        task: Data of the search.
        plan: Plan of the search.
        run: Run that stores all files.
        observer: Observer that is notified of events.
        source: Description by which `load` finds the data again.
        engine: Cluster that trains the candidates; by default this process.
    """

    def __init__(
        self,
        task: Task,
        plan: SearchPlan,
        run: Run,
        observer: Observer,
        source: dict[str, Any] | None = None,
        engine: Ray | None = None,
    ):
        self.task, self.plan, self.run, self.observer, self.source = task, plan, run, observer, source
        self.engine = engine
        full_macs = plan.proposals.full.macs()
        self.trials = Trials(task, plan.settings, plan.objective, full_macs, run, observer, plan.prefer)
        # All finished trials are ranked, whatever number is requested now: the networks of the others may be removed.
        self.num_trials = max(plan.trials, self.trials.num_finished())
        self.estimates = Estimates(plan.estimator, self.trials, plan.proposals, observer)

    def result(self, max_time: float | None = None, started: float | None = None) -> Result:
        """Trains candidates, selects by validation accuracy, exports, measures and writes `result.json`.

        Args:
            max_time: Largest total time in seconds.
            started: `time.monotonic()` value at the start of the search; now by default.
        """
        started = time.monotonic() if started is None else started
        # Left by a search that ran out of time, had fewer trials, or whose file was moved away: it may be out of date.
        self.run.remove(RESULT)
        for note in (*self.task.overview, *self.task.notes, *self.plan.settings.notes):
            self.observer.note(note)
        max_time = float("inf") if max_time is None else max_time
        self.observer.time_limited(started + max_time - time.monotonic())
        calibration = self._train(started, training_time(max_time))
        ranked = self.trials.ranked()[:NETWORKS_KEPT]
        if not ranked:
            raise _nothing_found(self.estimates.outcomes)
        self.trials.outcomes[ranked[0]] = prolonged(self.trials, ranked[0], started + training_time(max_time))
        deadline = started + max_time
        best, network, measured = self._first_that_fits(ranked, deadline)
        outcomes, winner = self.estimates.outcomes, self.trials.outcomes[best]
        if winner.unfinished:
            num_blocks = len(self.plan.proposals.network(winner.values).blocks)
            self.observer.note(unfinished(winner.trial, network.architecture, network.kept_params(), num_blocks))
        exact = [trial for trial in outcomes if not trial.estimated and (trial.status == "done" or trial == winner)]
        complete, proposals = self.estimates.are_complete, self.plan.proposals
        file, settings = self.run.path / MEASURED, self.plan.settings
        unpruned = unpruned_document(network, winner, file, self.task, settings, proposals, deadline)
        document: dict[str, Any] = {
            "kgrow_version": __version__,
            "task": task_document(self.task),
            "source": self.source,
            "seed": self.plan.settings.seed,
            "start": start_of(self.plan.proposals.space),
            "complete": complete,
            "config": self.run.config,
            "trials": self.num_trials,
            "epochs": self.plan.settings.preset.epochs,
            "networks": {"offered": proposals.num_offered, "infeasible": proposals.num_infeasible},
            "candidates": [candidate_document(trial, self.trials.num_judged) for trial in outcomes],
            "pareto": pareto_document(exact, self.task, settings, proposals, self.observer, deadline),
            "choice": choice_document(self.trials, ranked, winner),
            "best": {
                **best_document(network, winner, measured, unpruned, self.task),
                "market": market_document(self.trials.directory(best).events()),
            },
            "calibration": calibration,
        }
        if not document["best"]["baseline"]["is_beaten"]:
            self.observer.note(baseline(document["best"], len(self.task.test)))
        self.run.write_json("architecture.json", network.architecture.to_json())
        self.run.rename(MEASURED, MODEL)
        for folder in (FINE_TUNING, PROLONGED):
            self.run.child(folder).clear()
        write_companions(self.run, MODEL, measured, self.observer)
        document["files"] = record_of(self.run.path, winner.trial)
        self.run.write_json(RESULT, document | {"wall_s": round(time.monotonic() - started, 3)})
        logs = {f"{index:04d}": self.trials.directory(index).events() for index in self.trials.outcomes}
        write_tensorboard(self.run, document["candidates"], logs)
        write_mistakes(self.run, winner.same_as or winner.trial, network, self.task)
        if complete:
            self.estimates.finish()
        return Result(self.run.path, read_result(self.run.path), network, self.task)

    def _train(self, started: float, max_time: float) -> dict[str, Any] | None:
        """Searches, trains the best candidates in full and returns the calibration of the estimates."""
        estimates, deadline = self.estimates, started + max_time
        self._search(started + searching_share(self.plan.estimator) * max_time)
        estimates.train_finalists(deadline)
        if not self.plan.calibrate:
            return None
        calibration = calibration_of(estimates, name_of(self.plan.estimator), deadline)
        self.observer.note(agreement(calibration))
        return calibration

    def _search(self, deadline: float) -> None:
        if self.engine is not None:
            from kgrow.searching.ray_trials import RayTrials

            self._tuner(RayTrials(self.trials, self.engine), deadline).search()
            self.estimates.adopt()
            return
        tuner = self._tuner(self.estimates, deadline)
        if self.estimates.are_exact:
            self._announce(tuner.oracle.max_trials or self.num_trials)
        tuner.search()

    def _announce(self, trials: int) -> None:
        """Reports the number of expected epochs, and what each costs, to the display."""
        settings, proposals = self.plan.settings, self.plan.proposals
        epochs, (largest, _) = settings.preset.epochs, next(iter(proposals.variants.values()))
        costs = [cost(network, settings.preset.batch_size) for network in course(largest, proposals, settings)]
        waiting, own = trials - self.trials.num_finished(), epochs - self.trials.first_event
        planned = [epochs, *[own] * (waiting - 1)] if waiting == trials else [own] * waiting
        self.observer.search_started(planned, costs if settings.growth is None else ())

    def _tuner(self, trials: Trainable, deadline: float) -> Tuner:
        """Returns KerasTuner's part of the search."""
        from kgrow.searching.oracles import make_oracle
        from kgrow.searching.tuner import Tuner

        oracle = make_oracle(self.plan.oracle, self.num_trials, self.plan.settings.seed)
        return Tuner(oracle, self.plan.proposals, trials, self.run, deadline)

    def _first_that_fits(self, ranked: Sequence[int], deadline: float) -> tuple[int, GrowingNetwork, Artefact]:
        """Exports the best trial whose file satisfies the measured limits, not only the predicted ones."""
        limits = self.plan.proposals.limits
        problems: dict[str, Exception] = {}
        for index in ranked:
            trial = self.trials.outcomes[index].trial
            self.observer.note(f"exporting and measuring trial {trial}")
            network = Snapshot.load(self.trials.directory(index), BEST).network()
            try:
                artefact = self._exported(network, trial, deadline)
            except ExportError as error:
                problems[trial] = error
                continue
            figures = {
                "params": network.kept_params(),
                "macs": artefact.macs,
                "flash_bytes": artefact.bytes,
                "ram_bytes": artefact.ram_bytes,
                "latency_ms": artefact.latency_ms,
            }
            broken = limits.exceeded(figures)
            if not broken:
                self._tell(problems)
                return index, network, dataclasses.replace(artefact, path=str(self.run.path / MODEL))
            words = ", ".join(f"{name} {figures[name]:.6g} > {limits.given[name]:.6g}" for name in broken)
            problems[trial] = LimitError(words)
        self.run.remove(MEASURED)
        raise _no_file(problems)

    def _exported(self, network: GrowingNetwork, trial: str, deadline: float) -> Artefact:
        """Writes and measures a file; it is run over the test split, which decides nothing."""
        quantization, settings = self.plan.proposals.quantization, self.plan.settings
        options = ExportOptions(quantization, max_drop=1.0, seed=settings.seed, class_weights=settings.class_weights)
        target = self.run.claim(MEASURED)
        artefact = export_to(network, self.task, target, options)
        if options.quantization != "int8":
            return artefact
        lost = self._lost_in_validation(network, target)
        if lost.mean() - standard_error(lost) <= LARGEST_DROP:
            return artefact
        cost = f"trial {trial}: 8 bits cost {percent(lost.mean())} points of validation accuracy"
        if time.monotonic() + self._fine_tuning_s(trial) > deadline:
            self.observer.note(f"{cost}; no time is left to train it with them")
            return artefact
        self.observer.note(f"{cost}, so it is trained with them for {FINE_TUNE_EPOCHS} epochs more")
        options = dataclasses.replace(options, fine_tune_epochs=FINE_TUNE_EPOCHS)
        return export_to(network, self.task, target, options, self.run, self.observer)

    def _lost_in_validation(self, network: GrowingNetwork, file: Path) -> np.ndarray:
        images, labels = self.task.validation.images, self.task.validation.labels
        return lost_images(network.logits(images)[-1].argmax(axis=-1), classify(file, images).argmax(axis=-1), labels)

    def _fine_tuning_s(self, trial: str) -> float:
        """Returns the approximate time of fine-tuning; with simulated bits a step takes twice as long."""
        epochs = [event for event in self.trials.directory(int(trial)).events() if event["event"] == "epoch"]
        return 2 * FINE_TUNE_EPOCHS * epochs[-1]["seconds"]

    def _tell(self, problems: Mapping[str, Exception]) -> None:
        """Reports why the file of a better trial was not used, now and in the result."""
        for trial, problem in problems.items():
            index, text = int(trial), f"its file was not taken: {problem}"
            self.observer.note(f"trial {trial}: {text}")
            self.trials.outcomes[index] = dataclasses.replace(self.trials.outcomes[index], error=text)


def _no_file(problems: Mapping[str, Exception]) -> Exception:
    """Returns the exception to raise if no trial gave a usable file; for limits it has the nearest point."""
    broken = [f"trial {trial}: {error}" for trial, error in problems.items() if isinstance(error, LimitError)]
    if broken:
        return LimitError(
            f"`limits` must allow one of the files that were measured, but each breaks one: {'; '.join(broken)}. "
            "Loosen them, give more `trials`, or search in another directory with another objective."
        )
    return list(problems.values())[-1]


def _nothing_found(outcomes: Sequence[Trial]) -> Exception:
    failures = [f"trial {trial.trial}: {trial.error}" for trial in outcomes if trial.error is not None]
    if any(trial.status == "stopped" for trial in outcomes):
        return OutOfTimeError(
            "`max_time` must leave room for one network to be complete, but ended before that. Its checkpoint is kept: "
            "the same call goes on from there."
        )
    if not failures:
        return ArithmeticError(
            "`trials` must be more for this oracle: it ended every trial early. Give the same call with more of them."
        )
    return ArithmeticError("Every trial failed. " + " ".join(failures))
