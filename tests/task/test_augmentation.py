import dataclasses
import json

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.task import AUGMENTATIONS, Augmentation, Split, Task

BATCH, HEIGHT, WIDTH = 64, 9, 11
FILL = 7.0


def make_images(dtype=np.float32, channels=2, batch=BATCH):
    """Every pixel of every image is a different number, none of them 0 or FILL."""
    count = HEIGHT * WIDTH * channels
    return (np.arange(count) % 240 + 10).reshape(1, HEIGHT, WIDTH, channels).repeat(batch, 0).astype(dtype)


def shifted(image, down, right, is_mirrored, fill=0):
    """What augmentation means, in NumPy: mirror, then move."""
    image = image[:, ::-1] if is_mirrored else image
    moved = np.full_like(image, fill)
    height, width = image.shape[:2]
    moved[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = image[
        max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
    ]
    return moved


def find_moves(images, augmented, shift, flips, fill=0):
    """Returns the move of each image, or fails if the output is none of the allowed ones."""
    moves = []
    for image, output in zip(images, augmented, strict=True):
        found = [
            (down, right, is_mirrored)
            for down in range(-shift, shift + 1)
            for right in range(-shift, shift + 1)
            for is_mirrored in flips
            if np.array_equal(output, shifted(image, down, right, is_mirrored, fill))
        ]
        assert found, "an output is not a shifted or mirrored input"
        moves.append(found[0])
    return moves


def run(augmentation, images, seed=(3, 4), **options):
    return augmentation.augment(tf.constant(images), tf.constant(seed, tf.int32), **options).numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("fill", [0, FILL])
def test_every_output_is_a_shifted_or_mirrored_input(dtype, fill):
    images = make_images(dtype)
    moves = find_moves(images, run(Augmentation(2, True), images, fill=fill), 2, (False, True), fill)
    assert {move[0] for move in moves} == {move[1] for move in moves} == {-2, -1, 0, 1, 2}
    assert 0.25 * BATCH < sum(move[2] for move in moves) < 0.75 * BATCH


def test_all_offsets_are_equally_likely():
    images = make_images(channels=1, batch=1).repeat(3000, 0)
    moves = find_moves(images, run(Augmentation(1), images), 1, (False,))
    _, counts = np.unique([3 * down + right for down, right, _ in moves], return_counts=True)
    assert len(counts) == 9
    assert np.abs(counts - 3000 / 9).max() < 5 * np.sqrt(3000 / 9)


def test_without_flip_nothing_is_ever_mirrored():
    images = make_images()
    for seed in range(5):
        find_moves(images, run(Augmentation(shift=2), images, (seed, 0)), 2, (False,))


def test_flip_alone_moves_nothing():
    images = make_images()
    moves = find_moves(images, run(Augmentation(flip=True), images), 0, (False, True))
    assert {move[2] for move in moves} == {False, True}


@pytest.mark.parametrize("side", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_cutout_blanks_one_square_and_nothing_else(side, dtype):
    images = make_images(dtype)
    augmented = run(Augmentation(cutout=side), images, fill=3)
    interior = 0
    for image, output in zip(images, augmented, strict=True):
        is_cut = (output == 3).all(axis=-1)
        np.testing.assert_array_equal(output[~is_cut], image[~is_cut])
        rows, columns = np.flatnonzero(is_cut.any(axis=1)), np.flatnonzero(is_cut.any(axis=0))
        assert is_cut[np.ix_(rows, columns)].all()
        assert is_cut.sum() == len(rows) * len(columns)
        touches = rows[0] == 0 or columns[0] == 0 or rows[-1] == HEIGHT - 1 or columns[-1] == WIDTH - 1
        if not touches:
            interior += 1
            assert (len(rows), len(columns)) == (side, side)
        assert len(rows) <= side
        assert len(columns) <= side
    assert interior > BATCH / 8


def test_cutout_defaults_to_zero_and_reaches_every_pixel():
    images = make_images(batch=4000)
    is_cut = (run(Augmentation(cutout=2), images) == 0).all(axis=-1)
    assert is_cut.any(axis=0).all()


def test_same_seed_gives_the_same_changes_and_each_image_its_own():
    images, augmentation = make_images(), Augmentation(2, True, 3)
    first = run(augmentation, images)
    np.testing.assert_array_equal(first, run(augmentation, images))
    assert not np.array_equal(first, run(augmentation, images, (3, 5)))
    assert len({output.tobytes() for output in first}) > BATCH // 2


def test_changes_of_an_image_do_not_depend_on_the_size_of_the_batch():
    images, augmentation = make_images(), Augmentation(2, True, 3)
    np.testing.assert_array_equal(run(augmentation, images)[:5], run(augmentation, images[:5]))


def test_no_changes_give_the_very_same_tensor():
    images = tf.constant(make_images())
    assert Augmentation().augment(images, tf.constant([1, 2])) is images


@pytest.mark.parametrize("dtype", [tf.float32, tf.uint8])
def test_it_runs_inside_a_function_for_any_batch_size_and_keeps_the_shape(dtype):
    augmentation = Augmentation(2, True, 3)
    signature = tf.TensorSpec((None, HEIGHT, WIDTH, 2), dtype), tf.TensorSpec((2,), tf.int32)
    traced = tf.function(augmentation.augment, input_signature=signature)
    for batch in (1, 5):
        images = tf.constant(make_images(dtype.as_numpy_dtype, batch=batch))
        output = traced(images, tf.constant([0, batch]))
        assert output.dtype == dtype
        np.testing.assert_array_equal(output, augmentation.augment(images, tf.constant([0, batch])))
    assert traced.get_concrete_function().output_shapes == tf.TensorShape((None, HEIGHT, WIDTH, 2))
    operations = [operation.type for operation in traced.get_concrete_function().graph.get_operations()]
    assert operations.count("ImageProjectiveTransformV3") == 1
    assert not {"While", "StatelessWhile", "MapDefun"} & set(operations)


def make_task(shape, name="photos"):
    labels = np.array([0, 1], np.int32)
    split = Split(np.zeros((2, *shape), np.uint8), labels)
    return Task(name, split, split, split, ("a", "b"))


@pytest.mark.parametrize(
    ("shape", "name", "expected"),
    [
        ((8, 8, 1), "digits", Augmentation(1, False)),
        ((28, 28, 1), "mnist", Augmentation(4, False)),
        ((32, 32, 3), "cifar10", Augmentation(4, True)),
        ((32, 32, 3), "svhn_cropped", Augmentation(4, False)),
        ((28, 28, 3), "emnist/letters", Augmentation(4, False)),
        ((96, 64, 3), "photos", Augmentation(8, True)),
        ((16, 16, 3), "My Digits", Augmentation(2, False)),
        ((20, 20, 1), "gray", Augmentation(2, False)),
    ],
)
def test_suited_augmentation_follows_size_color_and_name(shape, name, expected):
    augmentation = Augmentation.suited_to(make_task(shape, name))
    assert augmentation == expected
    assert Augmentation(**json.loads(json.dumps(dataclasses.asdict(augmentation)))) == expected


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"shift": -1}, ValueError, "`shift` must be 0 or a positive integer, but got -1"),
        ({"cutout": 1.5}, ValueError, "`cutout` must be 0 or a positive integer"),
        ({"shift": True}, ValueError, "`shift` must be 0 or a positive integer"),
        ({"flip": 1}, TypeError, "`flip` must be True or False, but got 1"),
    ],
)
def test_wrong_fields_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        Augmentation(**fields)


def test_names_say_what_is_left_out_or_added():
    images = np.zeros((6, 32, 32, 3), np.uint8)
    split = Split(images, np.arange(6, dtype=np.int32) % 2)
    task = Task("photographs", split, split, split, ("left", "right"))
    found = {name: make(task) for name, make in AUGMENTATIONS.items()}
    assert found == {
        "suited": Augmentation(4, flip=True),
        "cutout": Augmentation(4, flip=True, cutout=8),
        "photo": Augmentation(flip=True, crop=0.4, color=0.3),
        "shift": Augmentation(4),
        "none": Augmentation(),
    }
    assert "mirrored" in found["suited"].notes[0]
    assert found["shift"].notes == ()


def ramps(number, height=24, width=36):
    """Images whose first channel is the row, whose second is the column, and whose third is constant."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.repeat(np.stack([rows, columns, np.full_like(rows, 7)], axis=-1)[None], number, axis=0)


@pytest.mark.parametrize("crop", [0.4, 0.9, 0.99])
def test_no_crop_shows_less_than_it_may(crop):
    cropped = Augmentation(crop=crop).augment(ramps(400), tf.constant([3, 4])).numpy()
    high = np.median(np.diff(cropped[..., 0], axis=1), axis=(1, 2))
    wide = np.median(np.diff(cropped[..., 1], axis=2), axis=(1, 2))
    assert (high * wide).min() >= crop - 1e-3
    assert max(high.max(), wide.max()) <= 1 + 1e-3


def test_crops_are_evenly_enlarged_parts_of_the_image_within_their_bounds():
    height, width, number = 24, 36, 400
    cropped = Augmentation(crop=0.25).augment(ramps(number), tf.constant([3, 4])).numpy()
    np.testing.assert_allclose(cropped[..., 2], 7, rtol=1e-6)
    # Away from the border, where pixels are repeated, a step is that of the crop's part.
    high = np.median(np.diff(cropped[..., 0], axis=1), axis=(1, 2))
    wide = np.median(np.diff(cropped[..., 1], axis=2), axis=(1, 2))
    assert 0.25 - 1e-3 <= (high * wide).min() < 0.3
    assert 0.9 < (high * wide).max() <= 1 + 1e-3
    assert max((high / wide).max(), (wide / high).max()) <= 4 / 3 + 1e-3
    assert np.corrcoef(high / wide, high * wide)[0, 1] < 0.3  # tall and wide crops of any area
    # The first pixel's center is half a pixel of the crop inside of it, and the last one's too.
    for steps, values, side in ((high, cropped[:, :, 0, 0], height), (wide, cropped[:, 0, :, 1], width)):
        begin, end = values[:, 0] - 0.5 * (steps - 1), values[:, -1] + 0.5 * (steps - 1)
        inside = (values[:, 0] > 0) & (values[:, -1] < side - 1)
        assert inside.any()
        np.testing.assert_allclose(end[inside] - begin[inside] + 1, steps[inside] * side, atol=0.02)
    middles = cropped[:, height // 2, width // 2, :2].mean(axis=0)
    np.testing.assert_allclose(middles, [height / 2, width / 2], atol=1.2)


def test_colors_change_within_their_bounds_and_each_image_its_own():
    images = np.random.default_rng(0).normal(size=(300, 6, 6, 3)).astype(np.float32)
    changed = Augmentation(color=0.3).augment(images, tf.constant([1, 2])).numpy()
    mean, deviation = images.mean(axis=(1, 2, 3)), images.std(axis=(1, 2, 3))
    brighter = (changed.mean(axis=(1, 2, 3)) - mean) / deviation
    assert -0.301 < brighter.min() < -0.25 < 0.25 < brighter.max() < 0.301
    gray, gray_changed = images.mean(axis=3), changed.mean(axis=3)
    contrast = gray_changed.std(axis=(1, 2)) / gray.std(axis=(1, 2))
    assert 0.699 < contrast.min() < 0.75 < 1.25 < contrast.max() < 1.301
    hue, hue_changed = images - gray[..., None], changed - gray_changed[..., None]
    saturation = hue_changed.std(axis=(1, 2, 3)) / hue.std(axis=(1, 2, 3)) / contrast
    assert 0.699 < saturation.min() < 0.75 < 1.25 < saturation.max() < 1.301
    assert abs(np.corrcoef(brighter, contrast)[0, 1]) < 0.2 > abs(np.corrcoef(saturation, contrast)[0, 1])


def test_colors_of_gray_and_whole_pixels_stay_such():
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 1), np.uint8)
    changed = Augmentation(crop=0.5, color=0.5).augment(tf.constant(images), tf.constant([1, 2]))
    assert changed.dtype == tf.uint8
    assert changed.shape == images.shape


def test_crops_and_colors_leave_the_other_changes_as_they_were():
    images = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype(np.float32)
    seed = tf.constant([5, 6])
    moved = Augmentation(shift=2, flip=True, cutout=3)
    both = Augmentation(shift=2, flip=True, cutout=3, color=0.2)
    recolored = Augmentation(color=0.2).augment(images, seed)
    np.testing.assert_array_equal(both.augment(images, seed), moved.augment(recolored, seed))


def test_small_images_are_cropped_and_recolored_less():
    half = Augmentation(shift=8, crop=0.4, color=0.3).at_scale(0.5)
    assert (half.shift, half.crop, half.color) == (4, pytest.approx(0.7), pytest.approx(0.15))
