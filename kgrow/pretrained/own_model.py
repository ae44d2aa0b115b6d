"""A trained model of the user's own, as blocks from which a network can grow."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kgrow.graph import IMAGE, Architecture, Block
from kgrow.graph.builder import Builder
from kgrow.graph.channels import NO_CHANNEL, channel_labels, free_layers
from kgrow.graph.image_size import at_image_size
from kgrow.graph.operators import Shape
from kgrow.graph.values import Weighted
from kgrow.models.files import check_hash, sha256_of
from kgrow.pretrained.backbone import narrowed

# Internal classifiers before the model's own; those at high resolution classify worst.
MOST_EXITS = 4


@functools.lru_cache(maxsize=2)
def own_model(path: str, sha256: str, side: int) -> OwnModel:
    """Returns the model of a file; see `kgrow.models.files.described_file`.

    Args:
        path: The file, or the directory of a SavedModel.
        sha256: Its hash.
        side: Side of its images if the model leaves that open.

    Raises:
        ValueError: If it has another hash by now, or cannot be read; the message says why.
    """
    from kgrow.models.opened import opened  # TensorFlow is slow to import
    from kgrow.models.reading import as_data, check_layers

    check_hash(sha256_of(Path(path)), sha256, path)
    model, notes = opened(path)
    check_layers(model)
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) != 3 or shape[2] is None:
        raise ValueError(f"`start` must be a model that reads images (height, width, channels), but it reads {shape}.")
    height, width, channels = (side if each is None else each for each in shape)
    weighted = as_data(model, (height, width, channels)).weighted
    for name, value in weighted.state.items():
        if not np.isfinite(value).all():
            raise ValueError(f"`start` must be a model with finite weights, but those of {name!r} are not.")
    return OwnModel(weighted, notes)


@dataclasses.dataclass(frozen=True)
class OwnModel:
    """A model whose stages end in internal classifiers; its own classifier comes after the last one.

    A stage ends before a change of the resolution, at a map that is all that the rest of the model reads.

    Args:
        weighted: Model as one block, at the size of its images.
        notes: Messages about what of the model is left out.
    """

    weighted: Weighted
    notes: tuple[str, ...] = ()

    def architecture(self, input_shape: Shape, num_classes: int, width: float) -> Architecture:
        """Returns the model with an internal classifier after each stage.

        Args:
            input_shape: Shape of the images, (height, width, channels).
            num_classes: Number of classes; if it is not that of the model, its last layer is replaced.
            width: Fraction of the channels of each layer that stay, but for those that are added to others.

        Raises:
            ValueError: If the model cannot read such images.
        """
        whole, channels = self.weighted.architecture, self.weighted.architecture.input_shape[2]
        if input_shape[2] != channels:
            raise ValueError(
                f"`start` must be a model for images of {input_shape[2]} channels, but this one reads {channels}."
            )
        counts = {name: narrowed(len(labels), width) for name, labels in self._layers.items()}
        narrower = self._narrower(counts)
        try:
            whole = at_image_size(narrower, (input_shape[0], input_shape[1]))
        except ValueError as error:
            height, width, _ = self.weighted.architecture.input_shape
            raise ValueError(
                f"`start` must be a model for images of {input_shape[0]}x{input_shape[1]}, but this one is for "
                f"{height}x{width} and does not fit others. Give `image_size` (--image-size {height}x{width})."
            ) from error
        nodes, last = list(whole.nodes), self._last
        if num_classes != whole.num_classes:
            operator = nodes[last].operator.with_channels(np.arange(num_classes))
            nodes[last] = dataclasses.replace(nodes[last], operator=operator)
        builder, blocks, start = Builder(input_shape), [], 0
        for index, end in enumerate(_stage_ends(whole, last)):
            for node in nodes[start:end]:
                builder.add(node.name, node.operator, *node.inputs)
            stage = builder.take()
            builder.head(f"block_{index}/head", nodes[end - 1].name, 2, num_classes)
            blocks.append(Block(stage, builder.take()))
            start = end
        blocks.append(Block(tuple(nodes[start:last]), tuple(nodes[last:])))
        return Architecture(whole.input_shape, num_classes, whole.scaling, tuple(blocks))

    def trained(self, architecture: Architecture) -> Weighted:
        """Returns a network with the model's weights; the internal classifiers, and new classes, have none.

        Args:
            architecture: Network that `architecture` returned for the width 1.
        """
        own = self.weighted
        is_replaced = own.architecture.num_classes != architecture.num_classes
        replaced = {node.name for node in own.architecture.nodes[self._last :]} if is_replaced else set()
        known = {name: weights for name, weights in own.weights.items() if name not in replaced}
        return Weighted(architecture, {node.name: known.get(node.name, {}) for node in architecture.nodes})

    @functools.cached_property
    def _last(self) -> int:
        """The number of the node that makes the classes."""
        architecture = self.weighted.architecture
        names = {kernel.name for kernel in architecture.kernels()}
        found = [number for number, node in enumerate(architecture.nodes) if node.name in names]
        if not found or not architecture.nodes[found[-1]].operator.makes_channels:
            raise ValueError("`start` must be a model whose classes are made by a layer with weights.")
        return found[-1]

    @functools.cached_property
    def _labels(self) -> Mapping[str, np.ndarray]:
        return channel_labels(self.weighted.architecture)

    @functools.cached_property
    def _layers(self) -> dict[str, np.ndarray]:
        return free_layers(self.weighted.architecture)

    def _narrower(self, counts: Mapping[str, int]) -> Architecture:
        """Returns the model with so many channels of each layer, by node name."""
        stays = np.ones(2 + max(int(labels.max(initial=NO_CHANNEL)) for labels in self._labels.values()), bool)
        for name, labels in self._layers.items():
            stays[labels[counts[name] :]] = False
        architecture = self.weighted.architecture
        return architecture.with_nodes(
            {
                node.name: dataclasses.replace(
                    node, operator=node.operator.with_channels(np.flatnonzero(stays[self._labels[node.name]]))
                )
                for node in architecture.nodes
            }
        )


def _stage_ends(architecture: Architecture, last: int) -> list[int]:
    """Returns the numbers of the nodes after which internal classifiers come, each plus one.

    Args:
        architecture: Architecture of the model.
        last: Number of the node that makes the classes.
    """
    nodes, shapes = architecture.nodes, architecture.shapes
    number_of = {node.name: number for number, node in enumerate(nodes)}
    read_last = {
        name: max((number_of[node.name] for node in readers), default=len(nodes))
        for name, readers in architecture.readers.items()
    }
    ends: dict[int, int] = {}  # by number of positions
    pending, fewest = read_last[IMAGE], math.inf
    for number, node in enumerate(nodes[:last]):
        positions = math.prod(shapes[node.name][:2])
        is_map = len(shapes[node.name]) == 3 and min(shapes[node.name][:2]) > 1
        if pending <= number and is_map and positions <= fewest:  # a padding is part of the next stage
            ends[positions], fewest = number + 1, positions
        pending = max(pending, read_last[node.name])
    # What follows the last map is the model's own classifier.
    return sorted(ends.values())[:-1][-MOST_EXITS:]
