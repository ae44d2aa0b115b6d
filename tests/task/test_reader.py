import itertools
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from kgrow.task import Task
from kgrow.task.collector import PixelCollector
from kgrow.task.reader import StreamReader
from kgrow.task.stream import Stream

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 6, 7, 3), np.uint8)
LABELS = np.arange(60) % 3


def endless(**options):
    return Stream(lambda: ((IMAGES, LABELS) for _ in itertools.count()), **options)


def read(stream, on_progress=lambda sentence: None):
    with PixelCollector(2**30, stream.num_examples or 0) as collector:
        return StreamReader(collector, None, False, on_progress).read(stream)


def test_enlarging_a_whole_chunk_takes_a_piece_of_it_at_a_time():
    images, labels = np.zeros((2000, 4, 4), np.uint8), np.arange(2000) % 2
    tracemalloc.start()
    task = Task.of((images, labels), image_size=160, cache_bytes=10**6)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert task.input_shape == (160, 160, 1)
    assert peak < 40 * 2**20  # all of them take 51 MB, beside which the fitted chunk was held


@pytest.mark.parametrize("sides", [(2048, 2048), (2048, 1000)])
def test_images_that_fit_nowhere_are_refused_before_any_is_made(sides, monkeypatch):
    monkeypatch.setattr("kgrow.task.collector.shutil.disk_usage", lambda folder: SimpleNamespace(free=10**8))
    size = "{}x{}x3".format(*sides)
    with pytest.raises(ValueError, match=rf"`image_size` must be smaller: 60 images of {size} take [0-9,.]+ GiB"):
        Task.of((IMAGES, LABELS), image_size=sides, cache_bytes=10**6)


def test_a_side_that_no_network_for_a_small_device_reads_is_refused():
    with pytest.raises(ValueError, match="`image_size` must be a side of at most 2048 pixels, but got 30000"):
        Task.of((IMAGES, LABELS), image_size=30_000)


def test_an_endless_source_is_stopped_with_the_way_out(monkeypatch):
    monkeypatch.setattr("kgrow.task.reader.MOST_IMAGES", 1000)
    with pytest.raises(ValueError, match=r"`source` must end, but after 1020 images \(0 MB\) .* `take\(n\)`"):
        read(endless(has_end=False))
    monkeypatch.setattr("kgrow.task.reader.MOST_BYTES", 500 * IMAGES[0].nbytes)
    with pytest.raises(ValueError, match="`source` must end, but after 540 images"):
        read(endless(has_end=False))


def test_a_source_that_says_its_length_may_be_longer(monkeypatch):
    monkeypatch.setattr("kgrow.task.reader.MOST_IMAGES", 100)
    assert len(Task.of((IMAGES, LABELS)).train) == 39


@pytest.mark.parametrize(("num_examples", "total"), [(None, "an unknown number"), (900, "900")])
def test_a_long_reading_tells_how_far_it_is_ever_more_rarely(num_examples, total, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr("kgrow.task.reader.time.monotonic", lambda: next(clock))
    told = []
    chunks = Stream(lambda: itertools.repeat((IMAGES, LABELS), 15), num_examples=num_examples)
    read(chunks, told.append)
    assert told[0] == f"Reading `source`: 180 of {total} images so far, 0 MB."
    assert len(told) == 2


def test_a_quick_reading_says_nothing():
    told = []
    Task.of((IMAGES, LABELS), on_progress=told.append)
    assert told == []
