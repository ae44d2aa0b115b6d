"""Search spaces and their candidates."""

from __future__ import annotations

import abc
import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from kgrow._checks import check_keep_ratio
from kgrow._rules import check_fields, several, within
from kgrow.graph import Architecture, Cell, CellBlock, Head, Scaling
from kgrow.registry import blamed, broken, is_foreign

# The stem reduces resolutions above this, so that the cost stays near that of a 32x32 image.
STEM_SIDE = 40


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One point of a search space: a full architecture and the kept fraction of each block.

    Args:
        architecture: Final architecture of the network.
        keep_ratios: Kept fraction of each block's prunable connections, each in (0, 1].
        initial: Initial values; see `SearchSpace.initial`.
    """

    architecture: Architecture
    keep_ratios: tuple[float, ...]
    initial: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if len(self.keep_ratios) != len(self.architecture.blocks):
            raise ValueError(
                f"`keep_ratios` must hold one ratio per block, but got {len(self.keep_ratios)} ratios for "
                f"{len(self.architecture.blocks)} blocks."
            )
        for ratio in self.keep_ratios:
            check_keep_ratio(ratio)


def check_widths(value: Any, name: str) -> tuple[float, ...]:
    """Returns width factors.

    Raises:
        ValueError: If they do not decrease from 1, or are not positive.
    """
    widths = several(within("(0, 1]"))(value, name)
    if widths[:1] != (1.0,) or any(after >= before for before, after in itertools.pairwise(widths)):
        raise ValueError(f"`{name}` must decrease from 1, such as (1.0, 0.5), but got {value!r}.")
    return widths


class SearchSpace(abc.ABC):
    """A family of architectures. Those that are dataclasses have their widths checked.

    Attributes:
        widths: Factors on all numbers of filters, decreasing from 1.
        preset: Schedule for its networks where none is named.
        brings_scaling: Whether its networks scale pixels in a way of their own, as initial values may need it.
    """

    widths: tuple[float, ...] = (1.0,)
    preset: ClassVar[str] = "default"
    brings_scaling: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(self, {"widths": check_widths})

    @abc.abstractmethod
    def build(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        scaling: Scaling | None = None,
        *,
        width: float = 1.0,
        **choices: Any,
    ) -> Architecture:
        """Returns the deepest architecture of the space for this input.

        Args:
            input_shape: Shape of the images, (height, width, channels).
            num_classes: Number of classes.
            scaling: Scaling of raw pixels; none by default. It has no effect with `brings_scaling`.
            width: Width factor, one of `widths`.
            choices: Values of what else may be chosen, by the names of `choices`; the first of each by default.
        """

    def choices(self, input_shape: tuple[int, int, int]) -> Mapping[str, Sequence[Any]]:
        """Returns what may be chosen apart from depth and width: the values by name, the default first.

        Names such as `block_2/width` are of a block and have no effect on a network that ends before it.

        Args:
            input_shape: Shape of the images, (height, width, channels).
        """
        return {}

    def initial(self, architecture: Architecture, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Returns initial values that replace a network's random ones; none by default.

        Those of a block must not depend on the blocks after it: trials that begin alike share their first epochs.

        Args:
            architecture: Architecture that `build` returned, or its first blocks.
            images: Training images, raw pixels (n, height, width, channels).

        Returns:
            A float32 array per variable, of its shape, by name, such as `block_0/cell_0/first/kernel`.
        """
        return {}


def deviations(choices: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yields the default of each choice together, and then what differs from it in one choice."""
    default = {name: values[0] for name, values in choices.items()}
    yield default
    for name, values in choices.items():
        yield from (default | {name: value} for value in values[1:])


def scaled_filters(filters: int, width: float) -> int:
    """Returns a number of filters times a width: a multiple of 4, which 8-bit kernels prefer, and at least 4."""
    return filters if width == 1.0 else max(4, 4 * round(filters * width / 4))


def stem_cell(filters: int, side: int, least: int, factor: int = 1) -> Cell:
    """Returns the cell that reads the image, for its larger side.

    Args:
        filters: Number of filters.
        side: Larger side of the images.
        least: Stride for sides up to 40.
        factor: Factor on the stride.
    """
    stride = factor * max(least, 2 ** math.ceil(math.log2(side / STEM_SIDE)))
    return Cell("conv", filters, kernel_size=max(3, 2 * stride - 1), stride=stride)


def with_heads(blocks: Sequence[Sequence[Cell]]) -> tuple[CellBlock, ...]:
    """Returns blocks of cells with heads: the last head pools to one position, the others to 2x2 or 3x3."""
    grids = [2] * (len(blocks) - 1) + [1]
    return tuple(CellBlock(tuple(cells), Head(grid)) for cells, grid in zip(blocks, grids, strict=True))


def unscaled(channels: int) -> Scaling:
    """Returns the scaling that leaves pixels unchanged."""
    return Scaling((0.0,) * channels, (1.0,) * channels)


def started_by(space: SearchSpace, architecture: Architecture, images: np.ndarray) -> Mapping[str, np.ndarray]:
    """Returns `SearchSpace.initial` after checking its contract.

    Args:
        space: Search space.
        architecture: Architecture that it built.
        images: Training images, raw pixels (n, height, width, channels).

    Raises:
        PluginError: If a plug-in violates it; the message names the package.
    """
    with blamed(space):
        values = space.initial(architecture, images)
        if not isinstance(values, Mapping):
            raise broken(space, "give initial values by name", f"gives {values!r}")
        arrays = {str(name): np.asarray(value) for name, value in values.items()}
    shapes = _shapes_of(architecture, {name.rpartition("/")[0] for name in arrays})
    for name, array in arrays.items():
        if name not in shapes:
            raise broken(space, "give values of variables of the network", f"gives one of {name!r}")
        if name.endswith("/mask"):
            raise broken(space, "leave masks to pruning", f"gives {name!r}")
        if array.shape != shapes[name] or array.dtype != np.float32 or not np.isfinite(array).all():
            wanted = f"finite float32 values of the shape {shapes[name]} for {name!r}"
            raise broken(space, f"give {wanted}", f"gives others: {array.dtype} of {array.shape}")
    return values


def _shapes_of(architecture: Architecture, nodes: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the variables of some nodes by name; names of other nodes are ignored."""
    from kgrow.network.block_layer import weight_shapes  # TensorFlow is slow to import

    known = [architecture.by_name[name] for name in nodes if name in architecture.by_name]
    return {
        f"{node.name}/{name}": shape
        for node in known
        for name, shape in weight_shapes(node, architecture.input_shapes(node)).items()
    }


def widths_of(space: SearchSpace) -> Sequence[float]:
    """Returns `SearchSpace.widths`; those of a plug-in are checked against their contract.

    Raises:
        PluginError: If the plug-in violates it; the message names the package.
    """
    with blamed(space):
        widths = space.widths
        if is_foreign(space) and (not widths or widths[0] != 1 or list(widths) != sorted(set(widths), reverse=True)):
            raise broken(space, "have `widths` that decrease from 1", f"has {widths!r}")
    return widths


def choices_of(space: SearchSpace, input_shape: tuple[int, int, int]) -> Mapping[str, Sequence[Any]]:
    """Returns `SearchSpace.choices`; those of a plug-in are checked against their contract.

    Raises:
        PluginError: If the plug-in violates it; the message names the package.
    """
    with blamed(space):
        choices = space.choices(input_shape)
    if is_foreign(space):
        if not isinstance(choices, Mapping):
            raise broken(space, "give its choices by name", f"gives {choices!r}")
        for name, values in choices.items():
            if not isinstance(values, Sequence) or isinstance(values, str) or not values:
                raise broken(space, f"give a sequence of values to choose {name!r} from", f"gives {values!r}")
    return choices


def built_by(space: SearchSpace, input_shape: tuple[int, int, int], num_classes: int, **options: Any) -> Architecture:
    """Returns a space's architecture; that of a plug-in is checked against its contract.

    Raises:
        PluginError: If the plug-in violates it; the message names the package.
    """
    with blamed(space):
        architecture = space.build(input_shape, num_classes, **options)
    if is_foreign(space):
        if not isinstance(architecture, Architecture):
            raise broken(space, "build an `Architecture`", f"builds {architecture!r}")
        if not architecture.blocks:
            raise broken(space, "build at least one block", "builds none")
        reads = (architecture.input_shape, architecture.num_classes)
        if reads != (input_shape, num_classes):
            raise broken(space, f"build for images of {input_shape} in {num_classes} classes", f"builds for {reads}")
    return architecture
