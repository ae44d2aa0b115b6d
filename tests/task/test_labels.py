import numpy as np
import pytest

from kgrow.task import Split, Task
from kgrow.task.labels import as_labels


@pytest.mark.parametrize(
    "labels",
    [
        [2, 0, 1],
        np.array([2, 0, 1], np.uint8),
        np.array([2.0, 0.0, 1.0], np.float32),
        np.array([[2], [0], [1]]),
        np.array([[2.0], [0.0], [1.0]]),
    ],
)
def test_sparse_labels_of_every_form_become_class_indices(labels):
    indices, width = as_labels(labels)
    np.testing.assert_array_equal(indices, [2, 0, 1])
    assert indices.dtype == np.int64
    assert width == 0


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_one_hot_labels_become_class_indices_and_state_the_number_of_classes(dtype):
    indices, width = as_labels(np.eye(5, dtype=dtype)[[2, 0, 1]])
    np.testing.assert_array_equal(indices, [2, 0, 1])
    assert width == 5


def test_bool_labels_are_two_classes():
    np.testing.assert_array_equal(as_labels([True, False])[0], [1, 0])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, -1], "whole numbers from 0, but got -1 at index 11"),
        ([0.0, 1.5], "whole numbers from 0, but got 1.5 at index 11"),
        ([0.0, np.nan], "whole numbers from 0, but got nan at index 11"),
        ([[0.9, 0.1], [0.1, 0.9]], r"a single 1 in each row, but got \[0.9, 0.1\] at index 10"),
        ([[0, 1], [1, 1]], r"a single 1 in each row, but got \[1, 1\] at index 11"),
        ([[0, 1], [0, 0]], r"a single 1 in each row, but got \[0, 0\] at index 11"),
        (np.zeros((2, 2, 2)), r"one label per image, .* but got the shape \(2, 2, 2\)"),
    ],
)
def test_wrong_labels_are_refused_with_their_index_in_the_whole(labels, message):
    with pytest.raises(ValueError, match="`test_data` must have .*" + message):
        as_labels(labels, "test_data", offset=10)


def test_text_labels_are_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"must have labels that are numbers, .*return_inverse"):
        as_labels(["cat", "dog"])


@pytest.mark.parametrize("name", ["caf\udce9", "te\x00a"])
def test_name_that_is_no_text_is_refused_before_anything_is_made_of_it(name):
    images, labels = np.zeros((40, 4, 4, 1), np.uint8), np.arange(40) % 2
    images[labels == 1] = 255
    with pytest.raises(ValueError, match=r"`class_names` must be text that UTF-8 can hold, but got '") as refused:
        Task.of((images, labels), class_names=("tea", name))
    assert repr(name) in str(refused.value)


@pytest.mark.parametrize("name", ["\x1b[2Jtea", "tea\n", "te\x07a", "\x9b31mtea", "tea\u2028"])
def test_name_that_a_terminal_would_obey_is_refused(name):
    images, labels = np.zeros((40, 4, 4, 1), np.uint8), np.arange(40) % 2
    images[labels == 1] = 255
    with pytest.raises(ValueError, match="`class_names` must be text without control characters") as refused:
        Task.of((images, labels), class_names=("coffee", name))
    assert str(refused.value).isprintable()
    split = Split(images, labels.astype(np.int32))
    with pytest.raises(ValueError, match="without control characters"):
        Task("tea", split, split, split, ("coffee", name))


def test_names_in_any_script_are_kept():
    names = ("café", "\u0643\u062a\u0627\u0628", "\U0001f469\u200d\U0001f52c", "全角\u3000")
    images = np.zeros((80, 4, 4, 1), np.uint8)
    assert Task.of((images, np.arange(80) % 4), class_names=names).class_names == names


def test_more_classes_than_a_small_network_can_have_are_refused_before_anything_of_their_size_is_made():
    rows = np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), (5, 10**11), (0, 0))
    with pytest.raises(ValueError, match="`test_data` must have at most 100000 classes, but got 100000000000"):
        as_labels(rows, "test_data")
