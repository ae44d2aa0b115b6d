"""One pruning event: score, select within the scope, mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from kgrow._checks import check_name
from kgrow._tfmot import Kernel, assign_masks
from kgrow.graph import Architecture
from kgrow.pruning.channel_criterion import ChannelCriterion, scored_channels
from kgrow.pruning.channels import ChannelGroups, channel_groups, kernel_shaped, select_channels
from kgrow.pruning.criterion import Batch, Criterion, Loss, Prunable, scored
from kgrow.pruning.erk import erk_counts
from kgrow.pruning.select import kept_count, select
from kgrow.registry import SCOPES

if TYPE_CHECKING:
    from kgrow.network import GrowingNetwork


def prune(
    network: Prunable,
    keep_ratios: Mapping[int, float],
    criterion: Criterion,
    batches: Sequence[Batch],
    loss: Loss,
    scope: str = "block",
) -> None:
    """Prunes blocks of a network to exact counts, or below if the criterion has a smallest saliency.

    Pruned connections stay pruned.

    Args:
        network: Network to prune in place.
        keep_ratios: Kept fraction of each block's prunable connections, in (0, 1], by block index; pruned ones count
            too.
        criterion: Criterion that scores the connections.
        batches: Training batches to score on.
        loss: Training loss; see `Criterion.saliency`.
        scope: Scope of the ranking: `"layer"`, `"block"`, or `"global"` for all blocks in `keep_ratios`.
            `floor(keep_ratio * size)` connections are kept in each. With `"erk"` that is so in each block, and its
            layers are ranked by themselves at the densities of `erk_counts`.
    """
    if not criterion.min_saliency and all(ratio == 1.0 for ratio in keep_ratios.values()):
        return  # scoring takes as long as several training steps
    network.apply_masks()
    kernels = network.kernels()
    scores = dict(zip((kernel.name for kernel in kernels), scored(criterion, network, batches, loss), strict=True))
    for group in _groups(network, keep_ratios, scope):
        present = [kernel.mask.numpy() for kernel in group.kernels]
        saliency = [scores[kernel.name] for kernel in group.kernels]
        masks = select(
            saliency, present, group.num_kept, criterion.min_saliency, empties_kernels=criterion.empties_kernels
        )
        assign_masks(group.kernels, masks)


def prune_channels(
    network: GrowingNetwork,
    keep_ratios: Mapping[int, float],
    criterion: ChannelCriterion,
    batches: Sequence[Batch],
    loss: Loss,
    multiple_of: int = 1,
) -> None:
    """Prunes whole channels of a network: every connection that makes or reads one; see `select_channels`.

    Args:
        network: Network to prune in place.
        keep_ratios: Kept fraction of each block's channels, in (0, 1], by block index; removed ones count too.
        criterion: Criterion that scores the channels.
        batches: Training batches to score on.
        loss: Training loss; see `Criterion.saliency`.
        multiple_of: Divisor of the widths of layers.
    """
    prune_groups(network, channel_groups(network.architecture), keep_ratios, criterion, batches, loss, multiple_of)


def prune_groups(
    network: Prunable,
    groups: ChannelGroups,
    keep_ratios: Mapping[int, float],
    criterion: ChannelCriterion,
    batches: Sequence[Batch],
    loss: Loss,
    multiple_of: int = 1,
) -> None:
    """Prunes whole channels of a network with known groups; otherwise the same as `prune_channels`."""
    if not keep_ratios:
        return
    network.apply_masks()
    kernels = network.kernels()
    present = {kernel.name: kernel.mask.numpy() for kernel in kernels}
    saliency = scored_channels(criterion, network, groups, batches, loss)
    alive = groups.alive(present)
    kept = select_channels(groups, saliency, alive, dict(keep_ratios), multiple_of, criterion.min_saliency)
    masks = kernel_shaped(groups, kept, {name: mask.shape for name, mask in present.items()})
    assign_masks(kernels, [present[kernel.name] * masks[kernel.name] for kernel in kernels])


@dataclasses.dataclass(frozen=True)
class _Group:
    kernels: Sequence[Kernel]
    num_kept: int


def _groups(network: Prunable, keep_ratios: Mapping[int, float], scope: str) -> Iterator[_Group]:
    check_name(SCOPES, scope, "scope")
    blocks = {index: network.kernels(index) for index in sorted(keep_ratios)}
    if scope == "layer":
        for index, kernels in blocks.items():
            yield from (_Group([kernel], kept_count(keep_ratios[index], kernel.size)) for kernel in kernels)
        return
    sizes = {index: sum(kernel.size for kernel in kernels) for index, kernels in blocks.items()}
    counts = {index: kept_count(keep_ratios[index], size) for index, size in sizes.items()}
    if scope == "block":
        yield from (_Group(blocks[index], counts[index]) for index in blocks)
        return
    if scope == "erk":
        for index, kernels in blocks.items():
            own = erk_counts([tuple(kernel.weight.shape) for kernel in kernels], counts[index])
            yield from (_Group([kernel], count) for kernel, count in zip(kernels, own, strict=True))
        return
    together = [kernel for kernels in blocks.values() for kernel in kernels]
    yield _Group(together, kept_count(sum(keep_ratios[index] * sizes[index] for index in blocks), 1))


def kept_params(architecture: Architecture, keep_ratios: Sequence[float], scope: str = "block") -> int:
    """Counts the connections left after all blocks are pruned, without building or training anything."""
    blocks = [[op.kernel_params for op in architecture.kernels(index)] for index in range(len(architecture.blocks))]
    return kept_of(blocks, keep_ratios, scope)


def kept_of(blocks: Sequence[Sequence[int]], keep_ratios: Sequence[float], scope: str = "block") -> int:
    """Counts like `kept_params`, from the sizes of each block's kernels."""
    pairs = list(zip(keep_ratios, blocks, strict=True))
    if scope == "layer":
        return sum(kept_count(ratio, size) for ratio, sizes in pairs for size in sizes)
    if scope in ("block", "erk"):
        return sum(kept_count(ratio, sum(sizes)) for ratio, sizes in pairs)
    return kept_count(sum(ratio * sum(sizes) for ratio, sizes in pairs), 1)
