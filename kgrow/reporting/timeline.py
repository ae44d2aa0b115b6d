"""The timeline of a training: what is alive in each block, what came and what went."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kgrow._figure import QUIET, color_of, count_labels, new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 8.0, 4.5  # inches


@dataclasses.dataclass(frozen=True)
class Timeline:
    """What a training had in each epoch; exchanges of `Regrowth`, which keep every number, are not in it.

    Args:
        alive: Kept connections of each block in each epoch, int (epochs, blocks); 0 before it comes.
        born: Connections that came before each epoch, likewise.
        died: Connections that went before each epoch, likewise.
        births: Epoch before which each block was appended.
        settled: First epoch from which the structure stays; None if it does not.
    """

    alive: np.ndarray
    born: np.ndarray
    died: np.ndarray
    births: tuple[int, ...]
    settled: int | None


def timeline(events: Sequence[Mapping[str, Any]]) -> Timeline:
    """Returns the timeline of a training.

    Args:
        events: Log of the training: its changes, each with the kept connections of all blocks, and its epochs.

    Raises:
        ValueError: If no epoch has ended yet.
    """
    ended = [event for event in events if event["event"] == "epoch"]
    if not ended:
        raise ValueError("`events` must have an epoch that has ended, but have none.")
    changes = [event for event in events if "change" in event]
    blocks = max((len(event["kept_params"]) for event in changes), default=0)
    now, settled = np.zeros(blocks, np.int64), None
    alive, born, died = (np.zeros((len(ended), blocks), np.int64) for _ in range(3))
    births = [0] * blocks
    for event in events:
        epoch = event.get("epoch", 0)
        if "change" in event and epoch < len(ended):
            then = np.zeros(blocks, np.int64)
            then[: len(event["kept_params"])] = event["kept_params"]
            came, went = np.maximum(then - now, 0), np.maximum(now - then, 0)
            swapped = np.array([_exchanged(event["change"], block) for block in range(blocks)])
            born[epoch] += np.maximum(came, swapped)
            died[epoch] += went + np.maximum(came, swapped) - came
            if event["event"] == "grew":
                births[len(event["kept_params"]) - 1] = epoch
            now, settled = then, None
        elif event["event"] == "epoch":
            alive[epoch] = now
            if event["is_settled"] and settled is None:
                settled = epoch
    return Timeline(alive, born, died, tuple(births), settled)


def _exchanged(change: Mapping[str, Any], block: int) -> int:
    """Returns how many connections of a block a trade brought back; 0 for other changes."""
    from kgrow.structure.trade import unpack

    revived = change.get("revived", {})
    return sum(int(unpack(packed).sum()) for name, packed in revived.items() if name.startswith(f"block_{block}/"))


def plot_timeline(shown: Timeline, title: str = "") -> Figure:
    """Draws a timeline: above the connections that are alive, block by block, below what came and what went.

    Args:
        shown: Timeline of a training.
        title: Title of the figure.

    Raises:
        ImportError: If matplotlib is not installed; the message says how to install it.
    """
    figure = new_figure(WIDTH, HEIGHT)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    epochs, blocks = np.arange(len(shown.alive)), range(shown.alive.shape[1])
    colors = [color_of(block) for block in blocks]
    labels = [f"block {block + 1}" for block in blocks]
    above.stackplot(epochs, shown.alive.T, step="post", colors=colors, labels=labels, alpha=0.85)
    for block, epoch in enumerate(shown.births):
        if epoch:
            for axes in (above, below):
                axes.axvline(epoch, color=colors[block], linewidth=1, linestyle=":")
    if shown.settled is not None:
        above.axvline(shown.settled, color=QUIET, linewidth=1)
        above.annotate(
            "settled", (shown.settled, above.get_ylim()[1]), (4, -4), textcoords="offset points", va="top", color=QUIET
        )
    came, went = np.zeros(len(epochs)), np.zeros(len(epochs))
    for block in blocks:
        below.bar(epochs, shown.born[:, block], bottom=came, width=0.7, color=colors[block])
        below.bar(epochs, -shown.died[:, block], bottom=-went, width=0.7, color=colors[block], alpha=0.5)
        came, went = came + shown.born[:, block], went + shown.died[:, block]
    below.axhline(0, color=QUIET, linewidth=0.8)
    below.set_ylabel("came, went")
    below.set_xlabel("epoch")
    count_labels(below.xaxis)
    above.set_ylabel("connections alive")
    above.set_title(title)
    above.legend(loc="upper right", frameon=False)
    for axes in (above, below):
        count_labels(axes.yaxis)
        plain_axes(axes)
    return figure
