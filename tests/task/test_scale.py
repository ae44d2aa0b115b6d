import numpy as np
import pytest

from kgrow.task import Task

RAW = np.random.default_rng(0).integers(0, 256, (60, 6, 7, 3), np.uint8)
LABELS = np.arange(60) % 3
UNIT = (RAW / 255).astype(np.float32)
SCALES = {
    "raw": RAW,
    "fractional": RAW.astype(np.float32) * 0.999,
    "unit": UNIT,
    "signed": UNIT * 2 - 1,
    "standardized": (RAW - RAW.mean()) / RAW.std(),
    "16 bits": RAW.astype(np.float32) * 257,
}
ALIKE = {("raw", "fractional"), ("fractional", "raw"), ("signed", "standardized"), ("standardized", "signed")}
DIFFERENT = [(one, other) for one in SCALES for other in SCALES if one != other and (one, other) not in ALIKE]


def task_of(train, test, argument="test_data"):
    return Task.of((train, LABELS), **{argument: (test, LABELS[: len(test)])})


def doubts(task):
    return [note for note in task.notes if "another scale" in note]


@pytest.mark.parametrize(("train", "test"), DIFFERENT)
@pytest.mark.parametrize("argument", ["validation_data", "test_data"])
def test_splits_on_different_scales_are_refused(train, test, argument):
    with pytest.raises(ValueError, match=f"^`{argument}` must have pixels on the scale of the other splits, but got"):
        task_of(SCALES[train], SCALES[test], argument)


def test_the_splits_of_a_pair_of_pairs_are_compared_too():
    with pytest.raises(ValueError, match="on the scale of the other splits, but got -1 to 1"):
        Task.of(((UNIT, LABELS), (SCALES["signed"], LABELS)))


@pytest.mark.parametrize("scale", SCALES)
def test_splits_on_one_scale_are_accepted_without_a_word(scale):
    assert not doubts(task_of(SCALES[scale], SCALES[scale][::2]))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_raw_pixels_may_be_just_darker(share):
    assert not doubts(task_of(RAW, (RAW * share).astype(np.uint8)))
    assert not doubts(task_of((RAW * share).astype(np.uint8), RAW))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (UNIT, UNIT * 0.3),  # darker, or divided twice
        (SCALES["standardized"] * 2, SCALES["signed"]),
        (RAW, (RAW > 99).astype(np.uint8)),  # masks of 0 and 1 beside pixels to 255
        (SCALES["standardized"], UNIT[:2]),  # too few to be sure that 0 is their black
    ],
)
def test_what_may_be_another_scale_is_said(train, test):
    (doubt,) = doubts(task_of(train, test))
    assert doubt.startswith("`test_data` may be on another scale: its pixels are ")


def test_resampling_that_overshoots_is_accepted():
    assert not doubts(task_of(UNIT, np.where(UNIT < 0.02, UNIT - 0.05, UNIT)))
