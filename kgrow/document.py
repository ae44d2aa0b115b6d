"""The parts of `result.json`: what was measured on the networks of a search, in plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow.searching.choice import Choice, comparisons
from kgrow.searching.pareto import pareto_front
from kgrow.searching.trial import Trial
from kgrow.task import Split, Task
from kgrow.uncertainty import interval

if TYPE_CHECKING:
    from kgrow.architecture import Architecture
    from kgrow.exporting import Artefact
    from kgrow.network import GrowingNetwork

# Of fewer test images of a class, the recall says nothing.
FEWEST_IMAGES = 3


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
    """Returns one of the `candidates` of a result; what was estimated has no interval."""
    is_exact = trial.val_accuracy is not None and not trial.estimated
    found = list(interval(trial.val_accuracy or 0.0, num_validation)) if is_exact else None
    return {**dataclasses.asdict(trial), "val_accuracy_interval": found}


def pareto_document(
    trials: Sequence[Trial], latencies: Sequence[float | None], num_validation: int
) -> list[dict[str, Any]]:
    """Returns the `pareto` of a result.

    Args:
        trials: Those of `front`.
        latencies: Milliseconds of each one's network, None where they were not measured.
        num_validation: Number of validation images.
    """
    return [
        {**candidate_document(trial, num_validation), "latency_ms": latency}
        for trial, latency in zip(trials, latencies, strict=True)
    ]


def front(trials: Sequence[Trial]) -> list[Trial]:
    """Returns the trials that no other beats in mean accuracy and costs, the most accurate first."""
    return [trials[index] for index in pareto_front(list(map(vars, trials)))]


def choice_document(
    choice: Choice, complete: Mapping[int, Trial], winner: Trial, right: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Returns the `choice` of a result: why this network, and which others might as well be the best.

    Args:
        choice: The rule.
        complete: The trials that could have won, by number.
        winner: The one that did.
        right: See `comparisons`.
    """
    rivals = [trial for trial in complete.values() if trial.trial != winner.trial]
    return {
        "prefer": choice.prefer,
        "contenders": [complete[index].trial for index in choice.contenders(complete)],
        "comparisons": comparisons(winner, rivals, right, choice.num_validation),
    }


def best_document(network: GrowingNetwork, trial: Trial, artefact: Artefact, task: Task) -> dict[str, Any]:
    """Returns the `best` of a result: everything that is measured on the network that was chosen.

    Args:
        network: That network.
        trial: What it came of.
        artefact: What was measured on its file.
        task: The data; its test split is evaluated here.
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
        "architecture": architecture.to_json(),
        "keep_ratios": list(trial.keep_ratios),
        "prunable_params": architecture.kernel_params(),
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
        "artefacts": [
            {
                **dataclasses.asdict(artefact),
                "test_accuracy_interval": list(interval(artefact.test_accuracy, num_test)),
            }
        ],
    }


def _heads(architecture: Architecture, task: Task, validation: np.ndarray, test: np.ndarray) -> list[dict[str, Any]]:
    """Returns accuracies, and the cost of a plain network that ends at each head."""
    from kgrow.lifecycle import accuracy_per_head

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
    """Returns the `baseline` of a result: what always answering the largest class of the training images scores.

    It counts as beaten if it lies below the 95 % interval of the network's test accuracy.

    Args:
        task: The data.
        test_accuracy: The network's.
    """
    largest = int(np.argmax(_counts(task.train, task.num_classes)))
    accuracy = float(np.mean(task.test.labels == largest))
    return {
        "class": task.class_names[largest],
        "test_accuracy": accuracy,
        "is_beaten": interval(test_accuracy, len(task.test))[0] > accuracy,
    }


def classes_document(task: Task, answers: np.ndarray) -> list[dict[str, Any]]:
    """Returns the `classes` of a result: per class its images, and which fraction of the test images is recognized.

    Args:
        task: The data.
        answers: The answered class of each test image.
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
            "has_few_test_images": sizes[2][index] < FEWEST_IMAGES,
            "recall": recall,
            "recall_interval": None if recall is None else list(interval(recall, sizes[2][index])),
        }
        for index, recall in enumerate(recalls)
    ]


def _counts(split: Split, num_classes: int) -> list[int]:
    return np.bincount(split.labels, minlength=num_classes).tolist()
