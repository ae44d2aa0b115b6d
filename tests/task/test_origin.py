"""How a task remembers where its data come from."""

import os

import numpy as np
import pytest

from kgrow.task import Task
from kgrow.task.origin import origin_of


def test_home_directory_is_remembered_as_the_path_that_it_is():
    home = origin_of(data_dir="~/data")
    assert home["data_dir"] == os.path.join(os.path.expanduser("~"), "data")
    assert origin_of(data_dir="gs://data")["data_dir"] == "gs://data"


@pytest.mark.parametrize("name", ["digits", None])
def test_task_remembers_how_it_was_read(name):
    images, labels = np.zeros((40, 8, 8), np.uint8), np.arange(40) % 2
    task = Task.of(name or (images, labels), image_size=6, validation_split=0.25, seed=3)
    assert task.origin == {
        "dataset": name,
        "data_dir": None,
        "image_size": 6,
        "validation_split": 0.25,
        "class_names": None,
        "seed": 3,
    }
    assert Task.of(task).origin is task.origin
