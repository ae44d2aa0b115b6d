"""Export of trials to TensorBoard: learning curves, the HParams page, and images that are answered wrongly."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.network import GrowingNetwork
from kgrow.reporting.mistakes import surest_mistakes
from kgrow.reporting.timeline import timeline
from kgrow.run import Run
from kgrow.task import Task
from kgrow.task.preview import shown_pixels

FOLDER, MOST_ANSWERED = "tensorboard", 2_000
FIGURES = ("val_accuracy", "objective", "kept_params", "macs", "flash_bytes", "ram_bytes")


def write_tensorboard(
    run: Run, trials: Sequence[Mapping[str, Any]], events: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Writes every trial with an accuracy; does nothing without TensorBoard.

    The log of a trial has its hyper-parameters and figures, and by epoch the loss, the validation accuracy of each head
    and the connections that are alive in each block.

    Args:
        run: Run whose directory gets a folder `tensorboard` with one log per trial; `tensorboard --logdir` shows it.
        trials: `candidates` of a result.
        events: Log of each trial's training, by its name; none for a trial that has no training of its own.
    """
    if importlib.util.find_spec("tensorboard") is None:
        return
    from tensorboard.plugins.hparams import api

    from kgrow._keras import tf

    logs = run.child(FOLDER)
    logs.clear()  # from an earlier process: each writes files with different names
    for trial in trials:
        if trial["val_accuracy"] is None:
            continue
        folder = logs.child(trial["trial"]).path
        with tf.summary.create_file_writer(str(folder)).as_default():
            api.hparams(trial["values"], trial_id=trial["trial"])
            for name in FIGURES:
                tf.summary.scalar(name, float(trial[name]), step=trial["epochs"])
            for name, step, value in _curves(events.get(trial["trial"], ())):
                tf.summary.scalar(name, value, step=step)
        for path in folder.glob("events.out.*"):
            logs.claim(f"{trial['trial']}/{path.name}")


def write_mistakes(run: Run, trial: str, network: GrowingNetwork, task: Task) -> None:
    """Adds test images that a trial gets wrong and is surest of to its log; does nothing without TensorBoard.

    Args:
        run: Run that `write_tensorboard` was given.
        trial: Name of the trial.
        network: Network of the trial; it answers the first 2 000 test images.
        task: Data of the search.
    """
    if importlib.util.find_spec("tensorboard") is None:
        return
    from kgrow._keras import tf

    logs = run.child(FOLDER)
    folder, names = logs.child(trial).path, task.class_names
    labels = task.test.labels[:MOST_ANSWERED]
    logits = network.logits(np.asarray(task.test.images[:MOST_ANSWERED]))[-1]
    rows, sure = surest_mistakes(logits, labels)
    with tf.summary.create_file_writer(str(folder), filename_suffix=".mistakes").as_default():
        for number, (row, probability) in enumerate(zip(rows, sure, strict=True)):
            label, answer = names[labels[row]], names[logits[row].argmax()]
            pixels = shown_pixels(np.asarray(task.test.images[row]), *task.pixel_range)
            pixels = pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
            title = f"mistakes/{number + 1:02d}"
            told = f"{label}, taken for {answer} with {100 * probability:.0f} %"
            tf.summary.image(title, pixels[np.newaxis].astype(np.float32), step=0, description=told)
    for path in folder.glob("events.out.*.mistakes"):
        logs.claim(f"{trial}/{path.name}")


def _curves(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, int, float]]:
    """Yields name, epoch from 1 and value of each point of a trial's curves."""
    ended = [event for event in events if event["event"] == "epoch"]
    alive = timeline(events).alive if ended else ()
    for event, connections in zip(ended, alive, strict=True):
        epoch = event["epoch"] + 1
        yield "epochs/loss", epoch, float(event["loss"])
        for head, accuracy in enumerate(event["val_accuracy"]):
            yield f"epochs/val_accuracy/head_{head + 1}", epoch, float(accuracy)
        for block, count in enumerate(connections):
            yield f"epochs/alive/block_{block + 1}", epoch, float(count)
