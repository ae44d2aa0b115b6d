"""Measures a training step with oneDNN and without it, in one run.

    python recipes/profile_step.py [--only NAME] [--quick] [--json]

Both ways run in processes of their own, turn by turn, each with one thread; what counts is their CPU time.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from _bench import Figure, figure, main

REDUCTIONS = "one turn of two steps, half of the width alone"
BATCH_SIZE = 128
WARM_UP = 2  # the first steps trace and allocate


def step(quick: bool) -> Iterator[Figure]:
    """The step of `compact` at 32x32x3, batch 128, at its full width and at half of it."""
    command = "python recipes/profile_step.py"
    turns, steps = (1, 2) if quick else (3, 8)
    for width in (0.5,) if quick else (1.0, 0.5):
        seconds: dict[str, list[float]] = {"0": [], "1": []}
        for _ in range(turns):
            for onednn, taken in seconds.items():
                taken.append(_seconds_elsewhere(onednn, width, steps))
        without, with_onednn = (statistics.median(taken) for taken in seconds.values())
        name = f"step_width_{width:g}"
        yield figure(f"{name}_speedup", without / with_onednn, "times as fast with oneDNN", ">= 1.7", command)
        yield figure(f"{name}_ms_onednn", 1e3 * with_onednn, "ms of CPU per step", "", command)
        yield figure(f"{name}_ms_without", 1e3 * without, "ms of CPU per step", "", command)


def _seconds_elsewhere(onednn: str, width: float, steps: int) -> float:
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "seconds", str(width), str(steps)],
        env={**os.environ, **threads, "TF_ENABLE_ONEDNN_OPTS": onednn},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def _seconds(width: float, steps: int) -> float:
    """Returns the median CPU seconds of a step in this process."""
    import numpy as np

    from kgrow._keras import tf
    from kgrow.lifecycle import PRESETS
    from kgrow.lifecycle.trainer import Trainer
    from kgrow.network import GrowingNetwork
    from kgrow.searching import SPACES
    from kgrow.task import Augmentation

    network = GrowingNetwork(SPACES["compact"].build((32, 32, 3), 10, width=width))
    preset = dataclasses.replace(PRESETS["default"], batch_size=BATCH_SIZE)
    trainer = Trainer(network, preset, Augmentation(shift=4, flip=True), seed=0)
    draws = np.random.default_rng(0)
    images = draws.normal(size=(BATCH_SIZE, 32, 32, 3)).astype(np.float32)
    labels = draws.integers(0, 10, BATCH_SIZE, dtype=np.int32)
    taken = []
    for _ in range(WARM_UP + steps):
        started = time.process_time()
        trainer.step(images, labels, tf.ones(len(network.blocks))).numpy()
        taken.append(time.process_time() - started)
    return statistics.median(taken[WARM_UP:])


if __name__ == "__main__":
    if sys.argv[1:2] == ["seconds"]:
        print(_seconds(float(sys.argv[2]), int(sys.argv[3])))
    else:
        sys.exit(main(__doc__.partition("\n")[0], {"step": step}, REDUCTIONS))
