"""A forward pass in which every node can be observed and changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kgrow.graph import IMAGE, Node

if TYPE_CHECKING:
    from kgrow.network.network import GrowingNetwork

# Maps a node, its inputs and its function to its output.
Tap = Callable[[Node, Sequence[Any], Callable[[Sequence[Any]], Any]], Any]


def call_tapped(network: GrowingNetwork, images: Any, tap: Tap) -> tuple[Any, ...]:
    """Runs inference node by node, without tracing: a tap cannot observe the inside of a trace.

    Args:
        network: Network to run; it is not changed.
        images: Raw pixels (batch, height, width, channels).
        tap: Function called for every node.

    Returns:
        Logits (batch, num_classes), one per head.
    """
    features: dict[str, Any] = {IMAGE: network.scale(images)}
    logits = []
    for block in network.blocks:
        features = block.forward(features, False, tap)
        logits.append(features[block.nodes[-1].name])
    return tuple(logits)
