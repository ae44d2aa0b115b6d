"""The course of a training: which network each epoch is expected to train, and what it costs."""

from __future__ import annotations

import dataclasses
import math

from kgrow.graph import Architecture
from kgrow.graph.image_size import at_image_size
from kgrow.lifecycle import Settings
from kgrow.searching.proposals import FIRST_RATIO, Proposals
from kgrow.searching.space import built_by
from kgrow.structure import ProgressiveResolution

# Multiply-accumulates in the time that a step takes for an output value, and for any node, however small: fitted to the
# steps of eleven networks on two cores with AVX2, from 9 to 231 ms, within a quarter of each.
OUTPUT_MACS, NODE_MACS = 300, 2e7


def course(largest: Architecture, proposals: Proposals, settings: Settings) -> list[Architecture]:
    """Returns the network of each epoch: it grows, its images become larger, and channels leave it.

    A narrower network of the space stands for what is left of the largest one.

    Args:
        largest: Largest network that may be trained.
        proposals: Source of the candidates.
        settings: Settings of the training.
    """
    preset, left = settings.preset, math.sqrt(FIRST_RATIO)
    width = min((width for width in proposals.widths if width >= left), default=1.0)
    pruned, depth = largest, len(largest.blocks)
    if proposals.removes_channels and width < 1:
        shape, scaling = largest.input_shape, largest.scaling
        pruned = built_by(proposals.space, shape, largest.num_classes, scaling=scaling, width=width)
    resolution, last = ProgressiveResolution(preset.resolutions), max(preset.prune_epochs, default=preset.epochs)
    found = []
    for epoch in range(preset.epochs):
        network = pruned if epoch >= last else largest
        resized = at_image_size(network, resolution.size_at(epoch, network))
        grown = 1 + sum(event <= epoch for event in preset.grow_epochs) if settings.growth is None else depth
        found.append(dataclasses.replace(resized, blocks=resized.blocks[:grown]))
    return found


def cost(architecture: Architecture, batch_size: int) -> float:
    """Returns the relative time of a training step: its arithmetic, its memory, and a fixed part for each node."""
    outputs = sum(math.prod(architecture.shapes[node.name]) for node in architecture.nodes)
    per_image = architecture.macs(passing=range(len(architecture.blocks))) + OUTPUT_MACS * outputs
    return per_image * batch_size + NODE_MACS * len(architecture.nodes)
