"""`Backbone`: a published network as blocks of units, and how its weight files name what is in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kgrow.graph import Architecture, Block, Scaling
from kgrow.graph.builder import Builder
from kgrow.graph.node import IMAGE
from kgrow.graph.operators import Add, BatchNorm, Conv, DepthwiseConv, ReLU, ZeroPadding

# A layer of a file, and the normalization after it.
Layer = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Unit:
    """Convolutions with normalization and ReLU6, the unit of a published network.

    `conv` is one convolution; `separable` a depthwise convolution and a 1x1 convolution (MobileNetV1); `inverted` a 1x1
    convolution to more channels, a depthwise convolution and a linear 1x1 convolution to fewer (MobileNetV2), without
    the first one if it would not change their number.

    Args:
        kind: `"conv"`, `"separable"` or `"inverted"`.
        filters: Number of output channels.
        layers: Layers of the weight file, in the order of the convolutions.
        hidden: Number of channels of the depthwise convolution of an inverted unit.
        kernel_size: Side of the kernels, of the depthwise ones where there are some.
        stride: Their stride.
    """

    kind: str
    filters: int
    layers: tuple[Layer, ...]
    hidden: int = 0
    kernel_size: int = 3
    stride: int = 1


@dataclasses.dataclass(frozen=True)
class Convolution:
    """One convolution of a network, whose nodes and layers have the same weights.

    Args:
        name: Name of its node; that of the normalization is `NAME/norm`.
        layer: Layer of the weight file, and its normalization.
        is_depthwise: Whether each channel is convolved alone.
        reads_image: Whether it reads the image.
    """

    name: str
    layer: Layer
    is_depthwise: bool
    reads_image: bool


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A published network, cut into blocks that can be grown one after the other.

    Args:
        blocks: Units of each block; the first one reads the image.
        scaling: Scaling of raw pixels in [0, 255] that its weights were trained with.
        epsilon: Number that its normalizations add to the variance.
        form: Names in its weight files: `"torch"` (`NAME.weight`) or `"keras"` (`NAME/kernel`).
        pads_evenly: Whether convolutions with a stride have as many zeros before the image as after it; TensorFlow's
            `"same"` has more after it where the number is odd.
    """

    blocks: tuple[tuple[Unit, ...], ...]
    scaling: Scaling
    epsilon: float
    form: str
    pads_evenly: bool = False

    def architecture(
        self, input_shape: tuple[int, int, int], num_classes: int, width: float, grids: Sequence[int]
    ) -> Architecture:
        """Returns the network with an internal classifier after each block.

        Args:
            input_shape: Shape of the images, (height, width, channels).
            num_classes: Number of classes.
            width: Fraction of the channels of inverted units' depthwise convolutions, and of all other convolutions
                whose outputs are not added to others.
            grids: Grid of each head; see `kgrow.graph.Head`.
        """
        builder, source, built, read = Builder(input_shape), IMAGE, [], 0
        for index, (units, grid) in enumerate(zip(self.blocks, grids, strict=True)):
            for number, unit in enumerate(units):
                is_added = unit.kind == "inverted" and unit.stride == 1 and unit.filters == read
                source = self._add(builder, f"block_{index}/cell_{number}", unit, source, width, is_added=is_added)
                read = unit.filters  # of the published network, whatever the width
            nodes = builder.take()
            builder.head(f"block_{index}/head", source, grid, num_classes)
            built.append(Block(nodes, builder.take()))
        channels = input_shape[2]
        scaling = Scaling(_spread(self.scaling.mean, channels), _spread(self.scaling.std, channels))
        return Architecture(input_shape, num_classes, scaling, tuple(built))

    def _add(self, builder: Builder, name: str, unit: Unit, source: str, width: float, *, is_added: bool) -> str:
        """Appends a unit and returns the name of its output."""
        if unit.kind == "conv":
            filters = narrowed(unit.filters, width)
            return self._convolved(builder, f"{name}/first", source, filters, unit.kernel_size, unit.stride)
        if unit.kind == "separable":
            inner = self._convolved(builder, f"{name}/depthwise", source, None, unit.kernel_size, unit.stride)
            return self._convolved(builder, f"{name}/second", inner, narrowed(unit.filters, width), 1)
        wide = source
        if len(unit.layers) == 3:
            wide = self._convolved(builder, f"{name}/first", source, narrowed(unit.hidden, width), 1)
        inner = self._convolved(builder, f"{name}/depthwise", wide, None, unit.kernel_size, unit.stride)
        narrow = self._convolved(builder, f"{name}/second", inner, unit.filters, 1, relu=False)
        return builder.add(f"{name}/sum", Add(), narrow, source) if is_added else narrow

    def _convolved(
        self,
        builder: Builder,
        name: str,
        source: str,
        filters: int | None,
        side: int,
        stride: int = 1,
        *,
        relu: bool = True,
    ) -> str:
        """Appends a convolution, depthwise without a number of filters, its normalization and ReLU6."""
        window, strides, padding = (side, side), (stride, stride), "same"
        if self.pads_evenly and stride > 1:
            before = (side // 2, side // 2)
            source, padding = builder.add(f"{name}/padding", ZeroPadding(before, before), source), "valid"
        operator = (
            DepthwiseConv(window, strides, padding)
            if filters is None
            else Conv(window, strides, padding, filters=filters)
        )
        source = builder.add(name, operator, source)
        source = builder.add(f"{name}/norm", BatchNorm(epsilon=self.epsilon), source)
        return builder.add(f"{name}/relu", ReLU(max_value=6.0), source) if relu else source

    def convolutions(self) -> Iterator[Convolution]:
        """Yields the convolutions of the whole network in the order in which they compute."""
        reads_image = True
        for index, units in enumerate(self.blocks):
            for number, unit in enumerate(units):
                names = {"conv": ("first",), "separable": ("depthwise", "second")}.get(
                    unit.kind, ("first", "depthwise", "second")[-len(unit.layers) :]
                )
                for part, layer in zip(names, unit.layers, strict=True):
                    yield Convolution(f"block_{index}/cell_{number}/{part}", layer, part == "depthwise", reads_image)
                    reads_image = False

    def initial(self, architecture: Architecture, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the weights of a file as values of a network's variables.

        Args:
            architecture: Network that `architecture` returned for the width 1, or its first blocks.
            weights: Arrays of the file by name.

        Raises:
            ValueError: If an array is missing or has another shape.
        """
        values: dict[str, np.ndarray] = {}
        for each in self.convolutions():
            if each.name not in architecture.by_name:
                break
            node, own = architecture.by_name[each.name], self._arrays(each, weights)
            wanted = tuple(node.operator.kernel_shape(*architecture.input_shapes(node)))
            kernel = _reading(own["kernel"], architecture.input_shape[2]) if each.reads_image else own["kernel"]
            if kernel.shape != wanted:
                raise ValueError(
                    f"{each.layer[0]!r} must have the shape {wanted}, but has {kernel.shape}: the weights are those of "
                    "another network, or of another width."
                )
            values[f"{each.name}/kernel"] = _plain(kernel)
            for part in ("gamma", "beta", "moving_mean", "moving_variance"):
                values[f"{each.name}/norm/{part}"] = _plain(own[part])
        return values

    def _arrays(self, convolution: Convolution, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns kernel and normalization of a layer, the kernel as (height, width, inputs, outputs)."""
        layer, norm = convolution.layer
        if self.form == "torch":
            names = {"kernel": f"{layer}.weight", "gamma": f"{norm}.weight", "beta": f"{norm}.bias"}
            names |= {"moving_mean": f"{norm}.running_mean", "moving_variance": f"{norm}.running_var"}
        else:
            names = {"kernel": f"{layer}/{'depthwise_kernel' if convolution.is_depthwise else 'kernel'}"}
            names |= {part: f"{norm}/{part}" for part in ("gamma", "beta", "moving_mean", "moving_variance")}
        for name in names.values():
            if name not in weights:
                raise ValueError(f"the weights must have {name!r}, but do not: they are those of another network.")
        arrays = {part: np.asarray(weights[name], np.float32) for part, name in names.items()}
        if arrays["kernel"].ndim != 4:
            raise ValueError(f"{names['kernel']!r} must be a kernel of four axes, but has {arrays['kernel'].shape}.")
        if self.form == "torch":
            axes = (2, 3, 0, 1) if convolution.is_depthwise else (2, 3, 1, 0)
            arrays["kernel"] = arrays["kernel"].transpose(axes)
        return arrays


def narrowed(channels: int, width: float) -> int:
    """Returns a number of channels times a width: a multiple of 8, as kernels compute 8 at a time, and at least 8."""
    return channels if width == 1.0 else min(channels, max(8, 8 * round(channels * width / 8)))


def _reading(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Returns a first kernel for images of 1 or 3 channels: a gray image is seen as one of three equal channels."""
    return kernel.sum(axis=2, keepdims=True) if channels == 1 and kernel.shape[2] == 3 else kernel


def _spread(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values if channels == len(values) else (float(np.mean(values)),) * channels


def _plain(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)
