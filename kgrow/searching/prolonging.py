"""`Prolonging`: what is left of the allowed time trains the chosen network on."""

from __future__ import annotations

import dataclasses
import statistics
import time

from kgrow.graph import Architecture
from kgrow.graph.image_size import at_image_size
from kgrow.lifecycle import BEST, Lifecycle, Preset, Settings, Snapshot
from kgrow.searching.choice import mean_figures
from kgrow.searching.course import cost
from kgrow.searching.trial import Trial
from kgrow.searching.trials import OUTCOME, Trials
from kgrow.structure import ProgressiveResolution
from kgrow.training import OutOfTimeError, TrainingDivergedError

FOLDER, PLAN = "prolonged", "plan.json"
# Fraction of the time left that is planned for epochs: the speed of steps varies, and the step is traced once more.
PLANNED_SHARE = 0.92
# The rate begins at this fraction of the schedule's: at the full one the network would lose what it has learned, which
# only as many epochs as the schedule has make up for.
LEAST_RATE_SHARE = 0.3
# Fewest epochs, and the most as a multiple of the schedule's.
FEWEST_EPOCHS, MOST_SCHEDULES = 2, 4


def prolonged(trials: Trials, index: int, deadline: float) -> Trial:
    """Trains a finished network on, with a rate that falls to zero once more, and keeps the better of both.

    The structure stays, and pruned connections stay pruned. A run decides the number of epochs once, at most four
    times that of the schedule; one that was killed goes on with it.

    Args:
        trials: Trials of a search.
        index: Number of the trial.
        deadline: `time.monotonic()` value at which the training ends.

    Returns:
        The new outcome of the trial, or the earlier one: if it has not its final structure, if there is no time left,
        or if the network did not become better.

    References:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
        https://arxiv.org/abs/1608.03983.
    """
    trial, own = trials.outcomes[index], trials.directory(index)
    folder = trials.run.child(FOLDER)
    if trial.status != "done" or deadline == float("inf"):
        return trial
    plan = folder.read_json(PLAN, {"trial": str, "epochs": int, "trained": int}) if folder.has(PLAN) else None
    if plan is None or plan["trial"] != trial.trial:  # another one was the best before
        epochs = _epochs_within(trials, index, deadline - time.monotonic())
        if epochs < FEWEST_EPOCHS:
            return trial
        folder.clear()
        plan = {"trial": trial.trial, "epochs": epochs, "trained": trial.epochs_trained}
        folder.write_json(PLAN, plan)
    start, settings = Snapshot.load(own, BEST), _settings(trials.settings, plan["epochs"])
    ratios = (1.0,) * len(start.architecture.blocks)
    run, observer = folder.child(f"{trial.trial}-prolonged"), trials.observer
    observer.note(f"training trial {trial.trial} on for {plan['epochs']} epochs in the time that is left")
    observer.trial_started(run.path.name, trial.keep_ratios, plan["epochs"])
    life = Lifecycle(trials.task, start.architecture, ratios, settings, run, observer)
    try:
        life.train(start.renewed(start.architecture), deadline=deadline)
    except TrainingDivergedError:
        return trial
    except OutOfTimeError:
        observer.note("time is up before its rate has fallen to zero")
    better = _better(trials, dataclasses.replace(trial, epochs_trained=plan["trained"]), life)
    observer.trial_finished(run.path.name, dataclasses.asdict(better))
    return better


def _epochs_within(trials: Trials, index: int, seconds: float) -> int:
    """Returns how many epochs fit, at the usual pace of the last third of a trial; the slowest one was traced too."""
    taken = [event["seconds"] for event in trials.directory(index).events() if event["event"] == "epoch"]
    # The median: other work on the machine during a few epochs must not cost the time that is left.
    pace = max(statistics.median(taken[-max(3, len(taken) // 3) :]), 1e-3)
    whole = max(0, int((PLANNED_SHARE * seconds - max(taken)) / pace))
    schedule, network = trials.outcomes[index].epochs, Snapshot.load(trials.directory(index), BEST).architecture
    shorter = int(whole / _mean_cost(trials.settings.preset, network))
    return min(shorter if shorter >= schedule else whole, MOST_SCHEDULES * schedule)


def _mean_cost(preset: Preset, network: Architecture) -> float:
    """Returns the mean time of an epoch while images grow, in units of that with whole images."""
    resolution = ProgressiveResolution(preset.resolutions)
    sizes = [resolution.size_at(epoch, network) for epoch in range(preset.epochs)]
    costs = [cost(at_image_size(network, size), preset.batch_size) for size in sizes]
    return sum(costs) / len(costs) / cost(network, preset.batch_size)


def _settings(settings: Settings, epochs: int) -> Settings:
    """Returns settings of a training in which the structure stays; images grow once more if there is time for it."""
    has_room = epochs >= settings.preset.epochs
    share = min(1.0, max(LEAST_RATE_SHARE, epochs / settings.preset.epochs))
    preset = dataclasses.replace(
        settings.preset,
        epochs=epochs,
        learning_rate=share * settings.preset.learning_rate,
        milestones=(),
        gammas=(),
        warmup_epochs=min(1.0, epochs / 10),
        grow_epochs=(0,) * len(settings.preset.grow_epochs),
        prune_epochs=(),
        resolutions=settings.preset.stretched(epochs).resolutions if has_room else (),
    )
    return dataclasses.replace(settings, preset=preset, channels=None, growth=None, regrowth=None)


def _better(trials: Trials, trial: Trial, life: Lifecycle) -> Trial:
    """Keeps the network of a prolonged training if its mean accuracy over the last epochs is at least as high."""
    means = mean_figures(life.events, life.settled_since)
    if means is None or means[0] < (trial.mean_val_accuracy or 0.0):
        return trial
    best = Snapshot.load(life.run, BEST)
    own = trials.directory(int(trial.trial))
    best.save(own, BEST)
    last = next(event for event in reversed(best.events) if event["event"] == "epoch")
    objective = trials.objective.reward(means[0], trial.macs / trials.full_macs)
    better = dataclasses.replace(
        trial,
        val_accuracy=last["val_accuracy"][-1],
        objective=objective,
        mean_val_accuracy=means[0],
        mean_val_loss=means[1],
        epochs_trained=trial.epochs_trained + sum(event["event"] == "epoch" for event in life.events),
    )
    own.write_json(OUTCOME, dataclasses.asdict(better))
    return better
