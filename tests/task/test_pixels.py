import numpy as np
import pytest

from kgrow.task.pixels import as_pixels, resize, usual_range


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([0, 255], np.uint8), np.uint8),
        (np.array([False, True]), np.uint8),
        (np.array([0, 255], np.int64), np.uint8),
        (np.array([0.0, 255.0], np.float64), np.uint8),
        (np.array([0.0, 16.0], np.float16), np.uint8),
        (np.array([-1, 255], np.int16), np.float32),
        (np.array([0, 256], np.uint16), np.float32),
        (np.array([0.0, 0.5], np.float64), np.float32),
        (np.array([0.0, 300.0], np.float32), np.float32),
        (np.array([np.nan, 1.0], np.float32), np.float32),
    ],
)
def test_only_whole_numbers_in_a_byte_become_uint8(values, dtype):
    images = np.resize(values, (2, 4, 4, 1))
    pixels = as_pixels(images)
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, images)


def test_gray_images_get_a_channel_axis():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 6), np.uint8)
    np.testing.assert_array_equal(as_pixels(images), images[..., None])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 784), r"but got the shape \(5, 784\)\. Reshape flat vectors into images"),
        ((5, 2, 8, 8, 3), r"but got the shape \(5, 2, 8, 8, 3\)"),
        ((5, 3, 32, 32), r"at most 4 channels, but got .* channels first: use `numpy.moveaxis\(images, 1, -1\)`"),
        ((5, 32, 32, 7), r"at most 4 channels, but got the shape \(5, 32, 32, 7\)\. The channels come last"),
        ((5, 8, 8, 0), "with pixels"),
    ],
)
def test_wrong_shapes_are_refused(shape, message):
    with pytest.raises(ValueError, match="`x` must hold images.*" + message):
        as_pixels(np.zeros(shape), "x")


@pytest.mark.parametrize("images", [np.full((2, 4, 4), "a"), np.zeros((2, 4, 4), complex), np.zeros((2, 4, 4), object)])
def test_images_that_are_no_numbers_are_refused(images):
    with pytest.raises(TypeError, match="must hold images of integers or floats"):
        as_pixels(images)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_resize_keeps_constant_channels_apart(dtype, channels):
    images = np.ones((2, 9, 12, channels), dtype) * np.arange(1, channels + 1, dtype=dtype) * 10
    resized = resize(images, (4, 7))
    assert resized.shape == (2, 4, 7, channels)
    assert resized.dtype == dtype
    np.testing.assert_allclose(resized, np.broadcast_to(images[:, :1, :1], resized.shape), rtol=1e-6)


def test_resize_is_antialiased():
    checkerboard = (np.indices((32, 32)).sum(axis=0) % 2 * 254).astype(np.uint8)[None, ..., None]
    resized = resize(checkerboard, (8, 8))
    assert np.abs(resized.astype(int) - 127).max() <= 8


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 255, (0, 255)),
        (3, 80, (0, 255)),
        (0, 16, (0, 16)),
        (0, 1, (0, 1)),
        (0.01, 0.98, (0, 1)),
        (0, 0.1, (0, 0.1)),
        (-0.9, 0.97, (-1, 1)),
        (-2.1, 2.6, (-2.1, 2.6)),
        (0.5, 254.2, (0, 255)),
        (90, 65000, (0, 65535)),
        (0, 4095, (0, 4095)),
        (7, 7, (7, 7)),
    ],
)
def test_range_is_the_usual_one_that_pixels_fill(low, high, expected):
    assert usual_range(low, high) == expected
