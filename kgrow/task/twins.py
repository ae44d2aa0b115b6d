"""Detection of nearly equal images: compressed again, slightly brightened, or scaled and scaled back."""

import numpy as np

from kgrow.task.split import slices

# A thumbnail has one more column than rows: its hash compares each pixel with the next one of its row.
ROWS, COLUMNS = 8, 9
# Fractions of the range of pixels: compression and rounding change less.
SMALLEST_STEP, LARGEST_DEVIATION = 0.02, 0.03
MOST_COMPARED = 8


def thumbnails(images: np.ndarray, pixel_range: tuple[float, float]) -> np.ndarray:
    """Reduces images to gray ones of 8 rows and 9 columns, each pixel the mean of an area.

    Args:
        images: Images, `(num_examples, height, width, channels)`.
        pixel_range: Pixel values that become 0 and 1.

    Returns:
        float32 `(num_examples, 8, 9)`.
    """
    _, height, width, channels = images.shape
    down, across = _means(height, ROWS), np.repeat(_means(width, COLUMNS), channels, axis=1).T / channels
    small = np.empty((len(images), ROWS, COLUMNS), np.float32)
    for rows in slices(len(images), images[:1].nbytes * 4):
        small[rows] = down @ (images[rows].reshape(-1, height, width * channels).astype(np.float32) @ across)
    low, high = pixel_range
    return (small - low) / ((high - low) or 1)


def near_twins(small: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns which images nearly equal one of the others.

    Candidates share one half of the difference hash, 64 bits that mark where an image becomes brighter from left to
    right. Their thumbnails must agree too. At most eight candidates per half are compared, which bounds the time:
    thousands of flat images have one hash.

    Args:
        small: Thumbnails of the images.
        others: Thumbnails of the others.

    Returns:
        bool `(len(small),)`.
    """
    found = np.zeros(len(small), bool)
    for half, others_half in zip(_hash_halves(small), _hash_halves(others), strict=True):
        order = np.argsort(others_half, kind="stable")
        starts = np.searchsorted(others_half, half, side="left", sorter=order)
        ends = np.searchsorted(others_half, half, side="right", sorter=order)
        for position in range(MOST_COMPARED):
            rows = np.flatnonzero((starts + position < ends) & ~found)
            deviations = np.abs(others[order[starts[rows] + position]] - small[rows])
            found[rows] = deviations.max(axis=(1, 2)) <= LARGEST_DEVIATION
    return found


def _means(side: int, num_areas: int) -> np.ndarray:
    """Returns the matrix that computes the mean of each area of a side, float32 `(num_areas, side)`."""
    matrix = np.zeros((num_areas, side), np.float32)
    for area in range(num_areas):
        start = area * side // num_areas
        end = max(start + 1, (area + 1) * side // num_areas)
        matrix[area, start:end] = 1 / (end - start)
    return matrix


def _hash_halves(small: np.ndarray) -> np.ndarray:
    brightens = (np.diff(small, axis=2) > SMALLEST_STEP).reshape(len(small), ROWS * (COLUMNS - 1))
    return np.ascontiguousarray(np.packbits(brightens, axis=1).view(np.uint32).T)
