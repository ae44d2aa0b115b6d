"""The precision of training steps: bfloat16 where this processor has it and computes faster with it."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from kgrow._checks import check_name
from kgrow._files import read_json
from kgrow._keras import tf
from kgrow.lifecycle import Settings
from kgrow.network import BFLOAT16, FLOAT32
from kgrow.run import Run
from kgrow.training import Observer

# File in the run directory: a resumed run trains with the precision that was decided first.
PRECISION = "precision.json"
STORED = {"precision": str, "ratio": (float, None)}
AUTO = "auto"
# Multiply-accumulates per step below which converting numbers costs what is saved, and the time of a convolution in
# bfloat16, as a fraction of that in float32, from which on it does too.
LARGE_STEP_MACS, LARGEST_RATIO = 500e6, 0.8
BATCH, SIDE, CHANNELS, NUM_TURNS = 64, 16, 32, 5


def decided(settings: Settings, step_macs: float, run: Run, observer: Observer) -> Settings:
    """Returns the settings with the precision of the training steps; a run decides this once.

    Args:
        settings: Settings of the training, with the precision `"float32"`, `"bfloat16"` or `"auto"`, which measures.
        step_macs: Multiply-accumulates of the largest network for a batch.
        run: Run that stores the decision.
        observer: Observer that is notified of bfloat16.
    """
    if not run.has(PRECISION):
        chosen, ratio = settings.precision, None
        if chosen == AUTO:
            ratio = relative_time() if step_macs >= LARGE_STEP_MACS else None
            chosen = BFLOAT16 if ratio is not None and ratio <= LARGEST_RATIO else FLOAT32
        run.write_json(PRECISION, {"precision": chosen, "ratio": ratio})
    settings = with_precision(settings, run.path)
    if settings.precision == BFLOAT16:
        ratio = run.read_json(PRECISION, STORED)["ratio"]
        measured = "" if ratio is None else f", which take {ratio:.2f} of the time here"
        observer.note(f"trained with convolutions in bfloat16{measured}; validation and files are computed in full")
    return settings


def with_precision(settings: Settings, directory: Path) -> Settings:
    """Returns the settings with the precision that a run has decided on.

    Args:
        settings: Settings of the training.
        directory: Run directory.
    """
    stored = read_json(directory / PRECISION, STORED)["precision"]
    return dataclasses.replace(
        settings, precision=check_name((FLOAT32, BFLOAT16), stored, f"precision` of `{PRECISION}")
    )


def relative_time() -> float | None:
    """Returns the time of a convolution and its gradients in bfloat16, as a fraction of that in float32.

    The least of several turns counts, so that other work on the machine matters little. None if TensorFlow cannot
    compute it here.
    """
    steps = {precision: _step(getattr(tf, precision)) for precision in (FLOAT32, BFLOAT16)}
    seconds = dict.fromkeys(steps, float("inf"))
    try:
        for turn in range(1 + NUM_TURNS):
            for precision, step in steps.items():
                started = time.perf_counter()
                step().numpy()
                if turn:  # the first step is traced
                    seconds[precision] = min(seconds[precision], time.perf_counter() - started)
    except tf.errors.OpError:
        return None
    return seconds[BFLOAT16] / seconds[FLOAT32]


def _step(kind: Any) -> Any:
    images = tf.random.stateless_normal((BATCH, SIDE, SIDE, CHANNELS), (0, 0))
    kernel = tf.random.stateless_normal((3, 3, CHANNELS, CHANNELS), (0, 1))

    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            made = tf.nn.conv2d(tf.cast(images, kind), tf.cast(kernel, kind), 1, "SAME")
            loss = tf.reduce_sum(tf.cast(made, tf.float32) ** 2)
        return tf.add_n([tf.reduce_sum(each) for each in tape.gradient(loss, [images, kernel])])

    return tf.function(step, autograph=False)
