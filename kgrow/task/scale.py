"""A check whether two splits have one scale: raw pixels, 0 to 1, -1 to 1, or standardized."""

from dataclasses import dataclass

import numpy as np

# Ratios of the largest magnitudes of two splits: above the first one the scales may differ, above the second one they
# must. Standardized pixels reach about 3; 16-bit pixels reach 257 times as far as 8-bit pixels.
DOUBTFUL_RATIO, SURE_RATIO = 2.5, 32.0
# Black in raw pixels and in pixels from 0 to 1, and the largest overshoot of resampling, as fractions of the range.
NEAR_ZERO, OVERSHOOT = 0.02, 0.1
FEWEST_IMAGES = 5


@dataclass
class Scale:
    """Statistics of a split's pixels.

    Args:
        num_images: Number of images seen.
        low: Smallest pixel.
        high: Largest pixel.
        total: Sum of the means of the images.
        has_eight_bits: Whether all pixels are whole numbers in 0..255.
    """

    num_images: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    total: float = 0.0
    has_eight_bits: bool = True

    def add(self, images: np.ndarray) -> None:
        """Adds images to the statistics, uint8 or float32 `(n, height, width, channels)`."""
        self.num_images += len(images)
        self.low, self.high = min(self.low, float(images.min())), max(self.high, float(images.max()))
        self.total += float(images.mean(dtype=np.float64)) * len(images)
        self.has_eight_bits = self.has_eight_bits and images.dtype == np.uint8

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}, on average {self.total / self.num_images:.4g}"

    @property
    def reach(self) -> float:
        """Largest magnitude."""
        return max(abs(self.low), abs(self.high))

    @property
    def is_unit(self) -> bool:
        """Whether it looks like fractions from 0 to 1."""
        return not self.has_eight_bits and self.low >= 0 and self.high <= 1

    @property
    def is_signed(self) -> bool:
        """Whether negative pixels belong to it."""
        return self.low < -OVERSHOOT * (self.high - self.low)

    @property
    def starts_at_zero(self) -> bool:
        """Whether 0 is its black, seen often enough not to be chance."""
        return 0 <= self.low <= NEAR_ZERO * self.high and self.num_images >= FEWEST_IMAGES


def compare_scales(train: Scale, given: Scale, argument: str) -> str | None:
    """Compares a split with the training images.

    Whole numbers in 0..255 agree with each other, even if all are dark.

    Args:
        train: Scale of the training images.
        given: Scale of a validation or test split.
        argument: Argument of `Task.of` from which it comes.

    Returns:
        A doubt as text, or None.

    Raises:
        ValueError: If the scales certainly differ.
    """
    dark, bright = sorted((train, given), key=lambda scale: scale.reach)
    if train.has_eight_bits and given.has_eight_bits:
        is_doubtful = dark.high <= 1 < bright.high
    elif _surely_differ(dark, bright):
        raise ValueError(
            f"`{argument}` must have pixels on the scale of the other splits, but got {given}, where the training "
            f"images have {train}. Pass raw pixels everywhere."
        )
    else:
        is_doubtful = bright.reach > DOUBTFUL_RATIO * dark.reach or train.is_signed != given.is_signed
    if not is_doubtful:
        return None
    return f"`{argument}` may be on another scale: its pixels are {given}; those of the training images are {train}."


def _surely_differ(dark: Scale, bright: Scale) -> bool:
    is_unit_beside_raw = dark.is_unit and not bright.is_unit and bright.has_eight_bits and bright.high > 1
    is_far = dark.reach > 0 and bright.reach >= SURE_RATIO * dark.reach
    is_shifted = (dark.is_signed and bright.starts_at_zero) or (bright.is_signed and dark.starts_at_zero)
    return is_unit_beside_raw or is_far or is_shifted
