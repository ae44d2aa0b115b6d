"""Export of trials to TensorBoard: learning curves, and the HParams page."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kgrow.reporting.timeline import timeline
from kgrow.run import Run

FOLDER = "tensorboard"
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
