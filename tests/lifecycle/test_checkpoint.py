"""Tests of what is refused as a snapshot's file."""

import copy

import numpy as np
import pytest

from kgrow._encoding import encode_arrays
from kgrow.lifecycle import Snapshot

EVENTS = [{"event": "grew"}, {"event": "epoch", "epoch": 0, "val_accuracy": [0.5], "is_settled": False}]


@pytest.fixture
def metadata(tiny_architecture):
    return {
        "epoch": 1,
        "architecture": copy.deepcopy(tiny_architecture.to_json()),
        "seed": 0,
        "step_number": 3,
        "events": EVENTS,
    }


def test_metadata_are_read_as_they_were_written(metadata, tiny_architecture):
    snapshot = Snapshot.decode(encode_arrays({"w": np.ones(2)}, metadata), "last.npz")
    assert snapshot.architecture == tiny_architecture
    assert list(snapshot.events) == EVENTS


@pytest.mark.parametrize("field", ["epoch", "architecture", "seed", "step_number", "events"])
@pytest.mark.parametrize("wrong", [None, "text", 2.5, {}, [[]], [{}], [{"event": "epoch"}]])
def test_wrong_field_is_named_with_the_file(metadata, field, wrong):
    content = encode_arrays({}, {**metadata, field: wrong})
    with pytest.raises(ValueError, match=rf"run/last\.npz is damaged: .*`{field}"):
        Snapshot.decode(content, "run/last.npz")


@pytest.mark.parametrize("field", ["epoch", "architecture", "seed", "step_number", "events"])
def test_missing_field_is_named_with_the_file(metadata, field):
    del metadata[field]
    with pytest.raises(ValueError, match=rf"last\.npz is damaged: `{field}` must be given"):
        Snapshot.decode(encode_arrays({}, metadata), "last.npz")
