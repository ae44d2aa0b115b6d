"""Export of trials to TensorBoard's HParams page."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow.run import Run

FOLDER = "tensorboard"
FIGURES = ("val_accuracy", "objective", "kept_params", "macs", "flash_bytes", "ram_bytes")


def write_hparams(run: Run, trials: Sequence[Mapping[str, Any]]) -> None:
    """Writes the hyper-parameters and figures of every trial with an accuracy; does nothing without TensorBoard.

    Args:
        run: Run whose directory gets a folder `tensorboard` with one log per trial; `tensorboard --logdir` shows it.
        trials: `candidates` of a result.
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
        for path in folder.glob("events.out.*"):
            logs.claim(f"{trial['trial']}/{path.name}")
