"""`compact`: a physically smaller network in place of one with pruned connections."""

from __future__ import annotations

from collections.abc import Sequence

from kgrow.graph.removal import remove_dead, up_to_head
from kgrow.graph.values import Weighted
from kgrow.network import GrowingNetwork


def compact(network: GrowingNetwork, exit_indices: Sequence[int] | None = None) -> GrowingNetwork:
    """Returns a smaller network with the same logits in inference up to float32 rounding; see `remove_dead`.

    Args:
        network: Network to compact; it is not changed.
        exit_indices: Heads whose logits are preserved. Blocks after the last of them are cut. Other heads stay but may
            give other logits, because layers that only they read are removed. All heads are preserved by default.

    Returns:
        A new network; a head has the same index as before.

    Raises:
        ValueError: If there is no head with such an index.
    """
    blocks = network.architecture.blocks
    wanted = range(len(blocks)) if exit_indices is None else exit_indices
    for index in wanted:
        if not 0 <= index < len(blocks):
            raise ValueError(f"`exit_indices` must be in [0, {len(blocks) - 1}], but got {index!r}.")
    architecture = up_to_head(network.architecture, max(wanted, default=-1))
    smaller = remove_dead(Weighted.of(architecture, network.state()), wanted)
    return GrowingNetwork.of(smaller.architecture, smaller.state, network.seed)
