"""Random changes to training images, on whole batches inside the graph."""

import copy
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kgrow._checks import check_bool, check_non_negative_int
from kgrow._rules import check_fields, within
from kgrow.task.pixels import LARGEST_SIDE

if TYPE_CHECKING:
    from kgrow.task.task import Task

# Mirrored, these are other characters or no characters.
WRITTEN = ("svhn", "mnist", "digits", "letters", "kuzushiji", "omniglot", "characters", "cmaterdb")
SMALLEST_SIDE_FOR_EIGHTHS = 12
# Largest ratio of a crop's sides, each in fractions of the image's.
MOST_STRETCH = 4 / 3


def check_pixels(value: Any, name: str) -> int:
    """Returns a number of pixels, 0 or more, as a plain int.

    Raises:
        ValueError: If it is not, or is more than an image has.
    """
    return check_non_negative_int(value, name, LARGEST_SIDE)


@dataclass(frozen=True)
class Augmentation:
    """Shifts, mirrors, crops, recolors and cuts squares out of images; each image of a batch gets its own change.

    Args:
        shift: Largest shift of an image in each direction, in pixels.
        flip: Whether half of the images are mirrored left to right.
        cutout: Side of the blanked square in pixels; 0 blanks none. The square may extend over the border.
        crop: Smallest fraction of an image's area that is seen, enlarged to the whole size, in (0, 1]; 1 crops nothing.
            The larger side of the crop, in fractions of the image's, is up to 4/3 of the smaller one.
        color: Largest change of brightness (in standard deviations of the image), contrast and saturation (as a
            fraction), in [0, 1).

    References:
        Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6 (random crops).
        DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017,
        https://arxiv.org/abs/1708.04552.
    """

    shift: int = 0
    flip: bool = False
    cutout: int = 0
    crop: float = 1.0
    color: float = 0.0

    def __post_init__(self) -> None:
        check_fields(
            self,
            {
                "shift": check_pixels,
                "flip": check_bool,
                "cutout": check_pixels,
                "crop": within("(0, 1]"),
                "color": within("[0, 1)"),
            },
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, each shown once."""
        mirrored = (
            "Training images are mirrored left to right at random. Where a mirror image is of another class, choose "
            "`Training(augmentation='shift')` (--augmentation shift)."
        )
        return (mirrored,) if self.flip else ()

    @classmethod
    def suited_to(cls, task: "Task") -> "Augmentation":
        """Chooses changes that do not confuse the classes of a task.

        Args:
            task: Task to train on.

        Returns:
            Shifts of an eighth of the smaller side (1 pixel below 12), and mirroring for color images unless the task's
            name indicates written characters. No cutout; `Augmentation(cutout=8)` adds it.
        """
        height, width, channels = task.input_shape
        side = min(height, width)
        is_written = any(word in task.name.lower() for word in WRITTEN)
        return cls(
            shift=round(side / 8) if side >= SMALLEST_SIDE_FOR_EIGHTHS else 1,
            flip=channels >= 3 and not is_written,
        )

    def at_scale(self, fraction: float) -> "Augmentation":
        """Returns the changes for images whose sides are this fraction of their size.

        Squares and shifts are as large in proportion; crops and colors change less, as small images say less (Tan and
        Le, "EfficientNetV2", ICML 2021, section 4.2).
        """
        scaled = copy.copy(self)  # a subclass may be made of other arguments
        for name in ("shift", "cutout"):
            object.__setattr__(scaled, name, round(fraction * getattr(self, name)))
        object.__setattr__(scaled, "crop", 1.0 - fraction * (1.0 - self.crop))
        object.__setattr__(scaled, "color", fraction * self.color)
        return scaled

    def augment(self, images: Any, seed: Any, fill: Any = 0) -> Any:
        """Changes a batch at random.

        Args:
            images: Tensor `(batch, height, width, channels)` of floats or uint8, standardized or not.
            seed: int32 tensor `(2,)`; the same seed gives the same changes.
            fill: Value of the pixels that are shifted in or cut out. On standardized images 0 is the mean pixel.

        Returns:
            Tensor of the same shape and type.
        """
        from kgrow._keras import tf

        if not (self.shift or self.flip or self.cutout or self.crop < 1 or self.color):
            return images
        # One row per image, so that the changes of an image do not depend on the size of the batch.
        draws = tf.random.stateless_uniform((tf.shape(images)[0], 5), seed)
        if self.crop < 1 or self.color:
            more = tf.random.stateless_uniform(
                (tf.shape(images)[0], 7), tf.random.experimental.stateless_fold_in(seed, 1)
            )
            images = self._recolored(images, more[:, 4:]) if self.color else images
            images = self._cropped(images, more[:, :4]) if self.crop < 1 else images
        if self.shift or self.flip:
            images = self._move(images, draws, fill)
        return self._cut_out(images, draws, fill) if self.cutout else images

    def augment_around(self, images: Any, seed: Any, mean: Any) -> Any:
        """Changes a batch of raw pixels at random; pixels that are shifted in or cut out get the mean.

        Args:
            images: Float tensor `(batch, height, width, channels)`.
            seed: Random seed; see `augment`.
            mean: Mean pixel, a tensor `(channels,)`.
        """
        return self.augment(images - mean, seed) + mean

    def _cropped(self, images: Any, draws: Any) -> Any:
        """Enlarges a random part of each image to the whole size."""
        from kgrow._keras import tf

        shape = tf.shape(images)
        area = 1.0 - draws[:, 0] * (1.0 - self.crop)
        # At most so much that the longer side is that of the image.
        most = 0.5 * tf.minimum(math.log(MOST_STRETCH), -tf.math.log(area))
        stretch = tf.exp((2.0 * draws[:, 1] - 1.0) * most)
        wide, high = tf.sqrt(area) * stretch, tf.sqrt(area) / stretch
        zeros = tf.zeros_like(area)

        def axis(part: Any, draw: Any, side: Any) -> Any:
            # The center of the first pixel is half a pixel inside of the crop, too.
            return draw * (1.0 - part) * tf.cast(side, tf.float32) + 0.5 * (part - 1.0)

        right, down = axis(wide, draws[:, 2], shape[2]), axis(high, draws[:, 3], shape[1])
        moved = tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack([wide, zeros, right, zeros, high, down, zeros, zeros], axis=1),
            output_shape=shape[1:3],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
        return tf.ensure_shape(moved, images.shape)

    def _recolored(self, images: Any, draws: Any) -> Any:
        """Changes brightness, contrast and saturation of each image; with one channel there is no saturation."""
        from kgrow._keras import tf

        given = tf.as_dtype(images.dtype)
        images = tf.cast(images, tf.float32)
        brighter, contrast, saturation = (
            self.color * (2.0 * draws[:, index, None, None, None] - 1.0) for index in range(3)
        )
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        gray = tf.reduce_mean(images, axis=3, keepdims=True)
        deviation = tf.math.reduce_std(images, axis=(1, 2, 3), keepdims=True)
        images = gray + (1.0 + saturation) * (images - gray)
        images = mean + (1.0 + contrast) * (images - mean) + brighter * deviation
        return tf.saturate_cast(tf.round(images) if given.is_integer else images, given)

    def _move(self, images: Any, draws: Any, fill: Any) -> Any:
        from kgrow._keras import tf

        shape = tf.shape(images)
        offsets = tf.floor(draws[:, :2] * (2 * self.shift + 1)) - self.shift
        down, right = offsets[:, 0], offsets[:, 1]
        is_mirrored = draws[:, 2] < (0.5 if self.flip else 0.0)
        last_column = tf.cast(shape[2] - 1, tf.float32)
        zeros, ones = tf.zeros_like(down), tf.ones_like(down)
        # The output at (x, y) is the input at (a0 x + a1 y + a2, b0 x + b1 y + b2); all numbers are whole, so
        # "nearest" copies pixels.
        columns = tf.where(is_mirrored, -ones, ones), zeros, tf.where(is_mirrored, last_column + right, -right)
        rows = zeros, ones, -down
        moved = tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack([*columns, *rows, zeros, zeros], axis=1),
            output_shape=shape[1:3],
            fill_value=tf.cast(fill, tf.float32),
            interpolation="NEAREST",
            fill_mode="CONSTANT",
        )
        return tf.ensure_shape(moved, images.shape)

    def _cut_out(self, images: Any, draws: Any, fill: Any) -> Any:
        from kgrow._keras import tf

        shape = tf.shape(images)
        in_rows = self._is_inside(draws[:, 3], shape[1])[:, :, None, None]
        in_columns = self._is_inside(draws[:, 4], shape[2])[:, None, :, None]
        kept = tf.cast(tf.logical_not(in_rows & in_columns), images.dtype)
        blanked = images * kept
        return (
            blanked
            if isinstance(fill, (int, float)) and fill == 0
            else blanked + tf.cast(fill, images.dtype) * (1 - kept)
        )

    def _is_inside(self, draws: Any, side: Any) -> Any:
        from kgrow._keras import tf

        centers = tf.floor(draws * tf.cast(side, tf.float32))
        starts = (centers - self.cutout // 2)[:, None]
        positions = tf.range(tf.cast(side, tf.float32))[None, :]
        return (positions >= starts) & (positions < starts + self.cutout)


def with_cutout(task: "Task") -> Augmentation:
    """Returns the augmentation chosen for a task, with a blanked square of a quarter of the side."""
    return replace(Augmentation.suited_to(task), cutout=min(task.input_shape[:2]) // 4)


def of_photographs(task: "Task") -> Augmentation:
    """Returns the augmentation for photographs: random crops and colors, and mirroring as chosen for the task."""
    return replace(Augmentation.suited_to(task), shift=0, crop=0.4, color=0.3)


def shifted(task: "Task") -> Augmentation:
    """Returns the augmentation chosen for a task, without mirroring."""
    return replace(Augmentation.suited_to(task), flip=False)


def unchanged(task: "Task") -> Augmentation:
    """Returns an augmentation without changes."""
    return Augmentation()
