"""Tests of the size of images that follows from limits."""

import dataclasses
from types import SimpleNamespace

import pytest

from kgrow.searching import SPACES
from kgrow.searching.image_size import fitting_size, largest_image_size
from kgrow.searching.limits import LimitError, Limits
from kgrow.searching.proposals import Proposals


def photographs(height, width):
    return SimpleNamespace(
        input_shape=(height, width, 3),
        num_classes=5,
        pixel_mean=(99.0,) * 3,
        pixel_std=(60.0,) * 3,
        dtype="uint8",
        train=None,
    )


def within(**limits):
    return lambda images: Proposals(SPACES["compact"], images, limits=Limits(**limits))


@pytest.mark.parametrize(("height", "width"), [(96, 72), (96, 96), (60, 96)])
def test_largest_size_that_fits_keeps_the_proportions(height, width):
    propose = within(flash_bytes=64_000, ram_bytes=32_000)
    with pytest.raises(LimitError):
        propose(photographs(height, width))
    found = largest_image_size(photographs(height, width), propose)
    assert found[0] / found[1] == pytest.approx(height / width, rel=0.02)
    for _, known in propose(photographs(*found)).variants.values():
        assert known.ram_bytes <= 32_000
    longest = max(found) + 4
    larger = [round(side * longest / max(height, width)) for side in (height, width)]
    with pytest.raises(LimitError):
        propose(photographs(*larger))


def test_size_is_chosen_only_where_it_is_free():
    propose, images = within(ram_bytes=32_000), photographs(96, 96)
    size = fitting_size(images, propose, None, may_resize=True)
    assert largest_image_size(images, propose) == (size, size)
    remedy = rf"`Task.of\(\.\.\., image_size={size}\)` \(`--image-size`\)"
    with pytest.raises(LimitError, match=rf"Images of {size}x{size} would do: {remedy}"):
        fitting_size(images, propose, 96, may_resize=False)
    assert fitting_size(photographs(size, size), propose, None, may_resize=True) is None
    assert fitting_size(photographs(96, 72), propose, None, may_resize=True) == (84, 63)


def test_limit_that_no_size_meets_is_told_as_it_is():
    with pytest.raises(LimitError, match=r"breaks ram_bytes [0-9]+ > 100\. Loosen them"):
        fitting_size(photographs(32, 32), within(ram_bytes=100), None, may_resize=True)


def test_whatever_size_is_chosen_the_rest_of_the_data_is_the_same():
    seen = []

    def propose(images):
        seen.append(images)
        raise LimitError("never")

    assert largest_image_size(photographs(16, 12), propose) is None
    assert [images.input_shape for images in seen] == [(12, 9, 3), (8, 6, 3)]
    others = [{**dataclasses.asdict(images), "input_shape": None} for images in seen]
    assert others == [{**vars(photographs(16, 12)), "input_shape": None}] * 2
    seen.clear()
    assert largest_image_size(photographs(2048, 2048), propose) is None
    assert len(seen) < 12  # of 510 sizes
