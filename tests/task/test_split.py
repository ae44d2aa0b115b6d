import numpy as np
import pytest

from kgrow.task import Split
from kgrow.task.split import CHUNK_BYTES, slices


def make_split(num_examples=10):
    images = np.arange(num_examples, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 5, 3), np.uint8)
    return Split(images, np.arange(num_examples, dtype=np.int32))


@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 11])
@pytest.mark.parametrize("shuffle_seed", [None, 0, (7, 3)])
def test_batches_cover_every_example_once_with_its_own_label(batch_size, shuffle_seed):
    batches = list(make_split().batches(batch_size, shuffle_seed))

    assert [len(labels) for _, labels in batches[:-1]] == [batch_size] * (len(batches) - 1)
    labels = np.concatenate([labels for _, labels in batches])
    assert sorted(labels) == list(range(10))
    for images, labels in batches:
        assert images.shape == (len(labels), 4, 5, 3)
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_order_is_that_of_the_stored_examples_without_a_seed():
    labels = np.concatenate([labels for _, labels in make_split().batches(4)])
    np.testing.assert_array_equal(labels, np.arange(10))


def test_order_of_an_epoch_is_known_without_replaying_earlier_ones():
    split = make_split()
    epochs = [np.concatenate([labels for _, labels in split.batches(4, (5, epoch))]) for epoch in range(3)]
    again = np.concatenate([labels for _, labels in split.batches(4, (5, 2))])

    np.testing.assert_array_equal(again, epochs[2])
    np.testing.assert_array_equal(again, np.random.default_rng((5, 2)).permutation(10))
    assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize(("num_examples", "num_batches"), [(10, 2), (8, 2), (3, 0)])
def test_drop_remainder_leaves_out_the_smaller_last_batch(num_examples, num_batches):
    batches = list(make_split(num_examples).batches(4, drop_remainder=True))
    assert [len(labels) for _, labels in batches] == [4] * num_batches


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_wrong_batch_size_fails_at_the_call(batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer, but got"):
        make_split().batches(batch_size)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int32), "`images` must be an array"),
        ([[1]], np.zeros(1, np.int32), "`images` must be an array"),
        (np.zeros((2, 4, 4, 1)), np.zeros(2, np.int32), "`images` must be uint8 or float32, but got float64"),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int32), "`labels` must be an array with one class index"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0, 1], "`labels` must be an array with one class index"),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int64), "`labels` must be int32, but got int64"),
    ],
)
def test_wrong_arrays_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Split(images, labels)


def test_length_and_repr_do_not_show_pixels():
    split = make_split()
    assert len(split) == split.num_examples == 10
    assert repr(split) == "Split(10 images of 4x5x3, uint8)"


@pytest.mark.parametrize(("num_rows", "row_bytes"), [(0, 5), (1, 0), (7, CHUNK_BYTES), (10, CHUNK_BYTES // 3), (3, 1)])
def test_slices_cover_all_rows_in_bounded_pieces(num_rows, row_bytes):
    pieces = list(slices(num_rows, row_bytes))
    assert [row for piece in pieces for row in range(piece.start, piece.stop)] == list(range(num_rows))
    assert all((piece.stop - piece.start) * row_bytes <= CHUNK_BYTES for piece in pieces)
