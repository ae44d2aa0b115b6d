"""Tests of a life whose batches are shared by two replicas, on two logical processors of one process."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.lifecycle.distribute import make_strategy
from kgrow.registry import DISTRIBUTIONS

ROOT = Path(__file__).parents[2]
# Logical devices must be made before TensorFlow has started, so in a process of its own. Every image comes twice, once
# for each replica: then both normalize by the same statistics as one device does, and the results must be equal.
LIVES = """
import dataclasses, json, sys
import numpy as np
from kgrow._keras import tf

(processor,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
from kgrow.graph import Architecture, Block, Cell, CellBlock, Head, Scaling, of_cells
from kgrow.lifecycle import Lifecycle, Preset, Settings
from kgrow.training import Observer
from kgrow.lifecycle.distribute import make_strategy
from kgrow.registry import DISTRIBUTIONS
from kgrow.pruning import SNIP
from kgrow.run import Run
from kgrow.task import Augmentation, Split, Task

generator = np.random.default_rng(0)
labels = (np.arange(16) % 3).astype(np.int32)
images = generator.integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)
split = Split(images, labels)

class Twice(Split):
    def batches(self, batch_size, **more):
        # Halves that are equal, whatever the order.
        order = np.arange(16).reshape(-1, batch_size // 2)
        for part in order:
            part = np.concatenate([part, part])
            yield self.images[part], self.labels[part]

    def __len__(self):
        return 32

task = Task("tiny", Twice(images, labels), split, split, ("a", "b", "c"))
blocks = (
    CellBlock((Cell("conv", 4, stride=2),), Head(2)),
    CellBlock((Cell("conv", 6, inputs=(0,)),), Head(1)),
)
architecture = of_cells((8, 8, 3), 3, Scaling((128.0,) * 3, (64.0,) * 3), blocks)
preset = Preset(epochs=4, batch_size=8, learning_rate=0.05, grow_epochs=(1,), prune_epochs=(2, 2), milestones=(4,),
                gammas=(0.1,), l2=1e-3)
arrays, losses, noise = [], [], []
for number in (1, 2):
    strategy = make_strategy(tf.distribute.MirroredStrategy([f"/cpu:{i}" for i in range(number)]), 8)
    settings = Settings(preset, SNIP(), augmentation=Augmentation(), distribution=strategy)
    with Run.open(f"{sys.argv[1]}/{number}", {}) as run:
        # Ended after three epochs and taken up again: checkpoints are those of one device.
        Lifecycle(task, architecture, (0.5, 0.5), settings, run, Observer()).train(epochs=3)
        last = Lifecycle(task, architecture, (0.5, 0.5), settings, run, Observer())
        last.train()
        arrays.append(last.snapshot(4).arrays)
        noise.append(last.statistics(4).gradient_noise(range(2), 16))
        losses.append([event["loss"] for event in last.events if event["event"] == "epoch"])
    assert strategy.num_replicas_in_sync == number
assert arrays[0].keys() == arrays[1].keys()
print(json.dumps({
    "losses": losses,
    "noise": noise,
    "difference": max(float(np.abs(arrays[0][name] - arrays[1][name]).max()) for name in arrays[0]
                      if not name.endswith("moving_variance")),
    "variance": max(float(np.abs(arrays[1][name] / arrays[0][name] - 1).max()) for name in arrays[0]
                    if name.endswith("moving_variance")),
    "masks": all(np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0] if name.endswith("/mask")),
    "kept": last.network.kept_params(),
    "steps": last.trainer.step.number,
}))
"""


@pytest.mark.slow
def test_two_replicas_train_as_one_device(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIVES, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    one, two = found["losses"]
    np.testing.assert_allclose(two, one, rtol=1e-5)
    assert one[-1] != one[0]
    np.testing.assert_allclose(*found["noise"], rtol=1e-2)  # whose moving variances differ
    assert found["masks"]
    assert found["difference"] < 1e-5
    # The moving variance is the unbiased one of a part, with n / (n - 1) of a smaller n: at least 8 pixels.
    assert 0 < found["variance"] < 1 / 7
    assert found["steps"] == 16


def test_strategy_is_made_by_name():
    assert set(DISTRIBUTIONS) == {"mirrored"}
    assert isinstance(make_strategy("mirrored", 8), tf.distribute.MirroredStrategy)


@pytest.mark.parametrize(("distribute", "words"), [("mirored", "Did you mean 'mirrored'"), (3, "but got 3")])
def test_what_is_no_strategy_is_refused(distribute, words):
    with pytest.raises(ValueError, match=words):
        make_strategy(distribute, 8)


def test_batch_that_cannot_be_shared_is_refused():
    class Three(tf.distribute.OneDeviceStrategy):
        num_replicas_in_sync = 3

    with pytest.raises(ValueError, match=r"`batch_size` must be a multiple of 3, .* but got 8"):
        make_strategy(Three("/cpu:0"), 8)
