"""`export/run.py` and `export/benchmark.py`, in this Python: what they read, and what they say of what they cannot."""

import numpy as np
import pytest
from kgrow_device import run as device

from kgrow.task.pixels import resize


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (13, 9), (31, 50), (17, 40), (3, 64), (100, 1)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_device_resizes_as_training_does(size, channels, dtype):
    image = np.random.default_rng(0).integers(0, 256, (17, 23, channels)).astype(dtype)
    ours, theirs = device.resized(image, size), resize(image[np.newaxis], size)[0]
    assert ours.shape == theirs.shape
    # Bytes are rounded after each axis, and which is first depends on Pillow's version.
    np.testing.assert_allclose(ours, theirs.astype(np.float32), atol=1 if dtype == np.uint8 else 1e-3)
