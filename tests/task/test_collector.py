import errno

import numpy as np
import pytest

from kgrow.task import Task
from kgrow.task.collector import PixelCollector

IMAGE_BYTES = 4 * 5 * 3


def make_chunks(sizes, dtype=np.uint8, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (size, 4, 5, 3)).astype(dtype) for size in sizes]


@pytest.mark.parametrize("cache_images", [0, 1, 4, 5, 9, 10, 1000])
@pytest.mark.parametrize("num_expected", [0, 11, 10])
def test_spilled_pixels_equal_those_in_memory(cache_images, num_expected):
    chunks = make_chunks([4, 1, 5])
    with PixelCollector(cache_images * IMAGE_BYTES, num_expected) as collector:
        for chunk in chunks:
            collector.append(chunk)
        images = collector.finish()

    np.testing.assert_array_equal(images, np.concatenate(chunks))
    assert images.dtype == np.uint8
    assert images.flags.writeable
    assert collector.is_spilled == (cache_images < max(10, num_expected))
    assert isinstance(images, np.memmap) == collector.is_spilled
    assert collector.num_bytes == 10 * IMAGE_BYTES


@pytest.mark.parametrize("cache_images", [0, 6, 1000])
def test_a_float_chunk_turns_earlier_ones_into_floats(cache_images):
    whole, fractional = make_chunks([6])[0], np.full((2, 4, 5, 3), 0.5, np.float32)
    with PixelCollector(cache_images * IMAGE_BYTES) as collector:
        for chunk in (whole, fractional, whole):
            collector.append(chunk)
        images = collector.finish()

    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, np.concatenate([whole, fractional, whole]))


def test_chunks_are_copied_and_not_referred_to():
    chunk = make_chunks([3])[0]
    with PixelCollector(10**6) as collector:
        collector.append(chunk)
        expected = chunk.copy()
        chunk[:] = 0
        np.testing.assert_array_equal(collector.finish(), expected)


def test_full_disk_is_explained(monkeypatch):
    class FullDisk:
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: FullDisk())
    with PixelCollector(0) as collector, pytest.raises(OSError, match="Set TMPDIR to a larger disk") as caught:
        collector.append(make_chunks([2])[0])
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_task_from_a_file_equals_task_in_memory(dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    images = make_chunks([60], dtype)[0] / (1 if dtype == np.uint8 else 255)
    labels = np.arange(60) % 3
    in_memory = Task.of((images, labels))
    in_file = Task.of((images, labels), cache_bytes=100)

    assert isinstance(in_file.train.images, np.memmap)
    assert not isinstance(in_memory.train.images, np.memmap)
    assert in_memory.dtype == in_file.dtype == dtype
    assert in_file.fingerprint == in_memory.fingerprint
    assert (in_file.pixel_mean, in_file.pixel_std) == (in_memory.pixel_mean, in_memory.pixel_std)
    for (images_a, labels_a), (images_b, labels_b) in zip(
        in_file.train.batches(7, 1), in_memory.train.batches(7, 1), strict=True
    ):
        assert not isinstance(images_a, np.memmap)
        np.testing.assert_array_equal(images_a, images_b)
        np.testing.assert_array_equal(labels_a, labels_b)
    assert any("temporary file" in note for note in in_file.notes)
    assert list(tmp_path.iterdir()) == []
