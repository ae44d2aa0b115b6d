"""A forward pass in which every node can be looked at, and changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kgrow.graph import IMAGE, Node

if TYPE_CHECKING:
    from kgrow.network.network import GrowingNetwork

# Maps a node, what it reads and what computes it to its output.
Tap = Callable[[Node, Sequence[Any], Callable[[Sequence[Any]], Any]], Any]


def call_tapped(network: GrowingNetwork, images: Any, tap: Tap) -> tuple[Any, ...]:
    """Runs inference node by node; no trace is used or made, as a tap cannot look into one.

    Args:
        network: Left as it was.
        images: Raw pixels (batch, height, width, channels).
        tap: Called for every node.

    Returns:
        Logits (batch, num_classes), one per head.
    """
    features: dict[str, Any] = {IMAGE: network.scale(images)}
    logits = []
    for block in network.blocks:
        features = block.forward(features, False, tap)
        logits.append(features[block.nodes[-1].name])
    return tuple(logits)
