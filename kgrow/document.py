"""The parts of `result.json`: measurements of the networks of a search, in plain values."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow.searching.choice import comparisons
from kgrow.searching.pareto import pareto_front
from kgrow.searching.trial import Trial
from kgrow.task import Split, Task
from kgrow.task.overview import FEWEST_EXAMPLES, largest_class
from kgrow.uncertainty import interval

if TYPE_CHECKING:
    from kgrow.exporting import Artefact
    from kgrow.graph import Architecture
    from kgrow.lifecycle import Settings
    from kgrow.network import GrowingNetwork
    from kgrow.searching.proposals import Proposals
    from kgrow.searching.trials import Trials
    from kgrow.training import Observer


def task_document(task: Task) -> dict[str, Any]:
    """Returns the `task` of a result."""
    sizes = {f"num_{role}": len(getattr(task, role)) for role in ("train", "validation", "test")}
    return {
        "name": task.name,
        "input_shape": list(task.input_shape),
        "dtype": str(task.dtype),
        "class_names": list(task.class_names),
        **sizes,
    }


def candidate_document(trial: Trial, num_validation: int) -> dict[str, Any]:
    """Returns one of the `candidates` of a result; estimated accuracies have no interval.

    Args:
        trial: Outcome of the candidate.
        num_validation: Number of validation images by which its epochs were judged.
    """
    is_exact = trial.val_accuracy is not None and not trial.estimated
    found = list(interval(trial.val_accuracy or 0.0, num_validation)) if is_exact else None
    return {**dataclasses.asdict(trial), "val_accuracy_interval": found}


def pareto_document(
    trials: Sequence[Trial],
    task: Task,
    settings: Settings,
    proposals: Proposals,
    observer: Observer,
    deadline: float,
) -> list[dict[str, Any]]:
    """Returns the `pareto` of a result: the trials that no other dominates in mean accuracy and costs.

    Args:
        trials: Trials with an exact accuracy.
        task: Data of the search.
        settings: Training settings of the trials.
        proposals: Source of the candidates.
        observer: Observer that is notified when networks are timed. If there is more than one, each has its latency.
        deadline: `time.monotonic()` value after which no network is timed.
    """
    from kgrow.exporting.untrained import Untrained
    from kgrow.lifecycle.judged import judged_images

    num_judged = len(judged_images(task, settings.preset))
    front = [trials[index] for index in pareto_front(list(map(vars, trials)))]
    networks = [proposals.network(trial.values) for trial in front]
    latencies: dict[Architecture, float] = {}
    # Unless channels are pruned or a policy changes it, a trained network takes as long as an untrained one.
    is_fixed = settings.channels is None and settings.growth is None
    if len(set(networks)) > 1 and is_fixed and time.monotonic() < deadline:
        observer.note(f"timing the {len(set(networks))} networks of the Pareto front")
        latencies = {n: Untrained.of(task, proposals.quantization, n).latency_ms for n in set(networks)}
    return [
        {**candidate_document(trial, num_judged), "latency_ms": latencies.get(network)}
        for trial, network in zip(front, networks, strict=True)
    ]


def choice_document(trials: Trials, ranked: Sequence[int], winner: Trial) -> dict[str, Any]:
    """Returns the `choice` of a result: the reason for this network, and which others may be as good.

    Args:
        trials: All trials of the search.
        ranked: Finalists, whose networks are compared image by image.
        winner: Chosen trial.
    """
    from kgrow.lifecycle import BEST, Snapshot

    validation, right = trials.task.validation, {}
    for index in ranked if len(ranked) > 1 else ():
        logits = Snapshot.load(trials.directory(index), BEST).network().logits(validation.images)
        right[trials.outcomes[index].trial] = logits[-1].argmax(axis=-1) == validation.labels
    complete = trials.complete()
    rivals = [trial for trial in complete.values() if trial.trial != winner.trial]
    return {
        "prefer": trials.choice.prefer,
        "contenders": [complete[index].trial for index in trials.choice.contenders(complete)],
        "comparisons": comparisons(winner, rivals, right, trials.num_judged),
    }


def unpruned_document(
    network: GrowingNetwork,
    trial: Trial,
    file: Path,
    task: Task,
    settings: Settings,
    proposals: Proposals,
    deadline: float,
) -> dict[str, Any] | None:
    """Returns the `unpruned` of a result's best: what its file would be without pruning.

    Args:
        network: Chosen network, without the channels that were pruned.
        trial: Trial of the network.
        file: Its file.
        task: Data with images for the measurement.
        settings: Training settings of the trial.
        proposals: Source of the candidates.
        deadline: `time.monotonic()` value after which nothing is measured.

    Returns:
        Size, memory, latency and multiply-accumulates; None if the file would be as large, if a policy of its own may
        have changed more than pruning did, or if there is no time to measure it.
    """
    from kgrow.exporting.bundle import read_bundle, self_describing
    from kgrow.exporting.untrained import Untrained

    whole = proposals.network(trial.values)
    is_smaller = network.architecture.kernel_params() < whole.kernel_params()
    if not is_smaller or settings.growth is not None or time.monotonic() > deadline:
        return None
    untrained = Untrained.of(task, proposals.quantization, whole)
    description, _ = read_bundle(file)
    return {
        "bytes": len(self_describing(untrained.model, description)),
        "ram_bytes": untrained.ram_bytes,
        "latency_ms": untrained.latency_ms,
        "macs": whole.macs(),
    }


def best_document(
    network: GrowingNetwork, trial: Trial, artefact: Artefact, unpruned: dict[str, Any] | None, task: Task
) -> dict[str, Any]:
    """Returns the `best` of a result: all measurements of the chosen network.

    Args:
        network: Chosen network.
        trial: Trial of the network.
        artefact: Measurements of its file.
        unpruned: What `unpruned_document` returned; None also if it was not measured.
        task: Data; the test split is evaluated here.
    """
    from kgrow.network.early_exit import exit_curve

    architecture = network.architecture
    validation, test = (network.logits(split.images) for split in (task.validation, task.test))
    heads = _heads(architecture, task, validation, test)
    exits = range(len(heads))
    costs = [architecture.macs(head, passing=exits) for head in exits]
    num_test = len(task.test)
    return {
        "trial": trial.trial,
        "epochs_trained": trial.epochs_trained,
        "unfinished": trial.unfinished,
        "architecture": architecture.to_json(),
        "keep_ratios": list(trial.keep_ratios),
        "prunable_params": trial.prunable_params,
        "kept_params": network.kept_params(),
        "macs_dense": architecture.macs(),
        "macs_sparse": architecture.macs(kept={kernel.name: kernel.kept for kernel in network.kernels()}),
        "heads": heads,
        "test_accuracy": heads[-1]["test_accuracy"],
        "test_accuracy_interval": heads[-1]["test_accuracy_interval"],
        "baseline": baseline_document(task, heads[-1]["test_accuracy"]),
        "classes": classes_document(task, test[-1].argmax(axis=-1)),
        "early_exit": [
            {
                "threshold": point.threshold,
                "test_accuracy": point.accuracy,
                "test_accuracy_interval": list(interval(point.accuracy, num_test)),
                "mean_macs": point.mean_macs,
            }
            for point in exit_curve(test, task.test.labels, costs)
        ],
        "artefacts": [dataclasses.asdict(artefact)],
        "unpruned": unpruned,
    }


def _heads(architecture: Architecture, task: Task, validation: np.ndarray, test: np.ndarray) -> list[dict[str, Any]]:
    """Returns the accuracies of each head, and the cost of a plain network that ends there."""
    from kgrow.training.validation import accuracy_per_head

    accuracies = zip(
        accuracy_per_head(validation, task.validation.labels), accuracy_per_head(test, task.test.labels), strict=True
    )
    return [
        {
            "val_accuracy": val,
            "val_accuracy_interval": list(interval(val, len(task.validation))),
            "test_accuracy": tested,
            "test_accuracy_interval": list(interval(tested, len(task.test))),
            "macs": architecture.macs(head),
        }
        for head, (val, tested) in enumerate(accuracies)
    ]


def baseline_document(task: Task, test_accuracy: float) -> dict[str, Any]:
    """Returns the `baseline` of a result: the score of always predicting the training split's largest class.

    It counts as beaten if it lies below the 95 % interval of the network's test accuracy.

    Args:
        task: Data of the search.
        test_accuracy: Test accuracy of the network.
    """
    largest, accuracy = largest_class(task)
    return {
        "class": task.class_names[largest],
        "test_accuracy": accuracy,
        "is_beaten": interval(test_accuracy, len(task.test))[0] > accuracy,
    }


def classes_document(task: Task, answers: np.ndarray) -> list[dict[str, Any]]:
    """Returns the `classes` of a result: images per class, and the fraction of its test images classified correctly.

    Args:
        task: Data of the search.
        answers: Predicted class of each test image.
    """
    labels, classes = task.test.labels, range(task.num_classes)
    sizes = [_counts(split, task.num_classes) for split in (task.train, task.validation, task.test)]
    recalls = [float(np.mean(answers[labels == it] == it)) if sizes[2][it] else None for it in classes]
    return [
        {
            "name": task.class_names[index],
            "num_train": sizes[0][index],
            "num_validation": sizes[1][index],
            "num_test": sizes[2][index],
            "has_few_test_images": sizes[2][index] < FEWEST_EXAMPLES,
            "recall": recall,
            "recall_interval": None if recall is None else list(interval(recall, sizes[2][index])),
        }
        for index, recall in enumerate(recalls)
    ]


def _counts(split: Split, num_classes: int) -> list[int]:
    return np.bincount(split.labels, minlength=num_classes).tolist()
