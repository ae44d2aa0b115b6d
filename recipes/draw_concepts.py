"""Writes the pictures of the concepts, `docs/timeline.svg` and `docs/pictures/`, of searches that are run for them.

python recipes/draw_concepts.py
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    import kgrow

DOCS = Path(__file__).parents[1] / "docs"
MARKET: dict[str, Any] = {
    "config": {"growth": {"policy": "market"}, "export": "float32"},
    "pruning": {"keep_ratio": 0.25},
    "trials": 1,
}
KERNEL, KEPT, CONNECTIONS = "block_1/cell_2/second", 0.25, 250  # of the picture of criteria


def draw(docs: Path = DOCS, **options: Any) -> None:
    """Searches twice on the digits and writes the pictures.

    Args:
        docs: Folder of the documentation.
        options: Further arguments of both searches.
    """
    import kgrow

    (docs / "pictures").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        searched = kgrow.search("digits", directory=folder, project_name="default", **options)
        traded = kgrow.search("digits", directory=folder, project_name="market", **{**MARKET, **options})
        save(traded.plot_timeline(), docs / "timeline.svg")
        for name, figure in pictures(searched):
            save(figure, docs / "pictures" / f"{name}.svg")


def pictures(result: kgrow.Result) -> Iterator[tuple[str, Figure]]:
    """Yields the pictures of a search, by name."""
    yield "growing", result.plot_history()
    yield "heads", heads(result.document["best"])
    yield "criteria", criteria(result.task)
    yield "compaction", compaction(result)
    yield "exits", result.plot_exits()
    yield "limits", result.plot_pareto()


def heads(best: dict[str, Any]) -> Figure:
    """Draws the accuracy of each head over the work up to it."""
    figure, axes = _empty(2.6)
    for number, head in enumerate(best["heads"]):
        low, high = (100 * end for end in head["val_accuracy_interval"])
        axes.plot([head["macs"]] * 2, [low, high], color=_color(number))
        axes.plot(head["macs"], 100 * head["val_accuracy"], "o", color=_color(number))
        place = (head["macs"], 100 * head["val_accuracy"])
        axes.annotate(f"head {number + 1}", place, (7, -3), textcoords="offset points", fontsize=8)
    axes.margins(x=0.2)
    axes.set_xlabel("multiply-accumulates up to the head")
    axes.set_ylabel("validation accuracy, %")
    return figure


def criteria(task: kgrow.Task) -> Figure:
    """Draws how two criteria score the connections of one kernel before any training, and which of them each keeps."""
    from kgrow.network import GrowingNetwork
    from kgrow.pruning import SNIP, Magnitude
    from kgrow.searching import SPACES
    from kgrow.training import joint_loss

    network = GrowingNetwork(SPACES["compact"].build(task.input_shape, task.num_classes))
    even = np.ones(len(network.blocks), np.float32)
    batch = (task.train.images[:256], task.train.labels[:256])
    number = [kernel.name for kernel in network.kernels()].index(KERNEL)
    shown = np.random.default_rng(0).choice(network.kernels()[number].weight.shape.num_elements(), CONNECTIONS, False)
    sizes, scores = (
        criterion.saliency(network, [batch], lambda logits, labels: joint_loss(logits, labels, even, 0.0))[
            number
        ].ravel()[shown]
        for criterion in (Magnitude(), SNIP())
    )
    bounds = [np.quantile(each, 1 - KEPT) for each in (sizes, scores)]
    figure, axes = _empty(3.4)
    kept = 2 * (scores >= bounds[1]) + (sizes >= bounds[0])
    for case, (color, label) in enumerate(
        [("0.75", "neither"), (_color(1), "magnitude alone"), (_color(3), "SNIP alone"), (_color(0), "both")]
    ):
        axes.plot(sizes[kept == case], scores[kept == case], ".", color=color, markersize=3, label=label)
    axes.axvline(bounds[0], color="0.3", linewidth=0.8)
    axes.axhline(bounds[1], color="0.3", linewidth=0.8)
    axes.set_xlabel("size of the weight")
    axes.set_ylabel("SNIP: size times gradient")
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=8, loc="lower right", title="kept by")
    return figure


def compaction(result: kgrow.Result) -> Figure:
    """Draws the output channels of each layer before and after those without use are taken out."""
    from kgrow.searching import SPACES

    after, task = result.architecture, result.task
    before = SPACES["compact"].build(task.input_shape, task.num_classes)
    names = [kernel.name for kernel in before.kernels() if not kernel.is_head]
    figure, axes = _empty(0.9 + 0.24 * len(names))
    for row, name in enumerate(names):
        color = _color(before.owners[name][0])
        axes.barh(row, before.shapes[name][-1], color=color, alpha=0.25)
        axes.barh(row, after.shapes[name][-1] if name in after.shapes else 0, color=color)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("channels; those that were taken out are faint")
    return figure


def save(figure: Figure, target: Path) -> None:
    """Writes a figure without a title, for a page that says what it shows."""
    import matplotlib as mpl

    figure.axes[0].set_title("")
    # Text stays text, and the same search gives the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "kgrow", "font.family": "sans-serif"}):
        figure.savefig(target, metadata={"Date": None, "Creator": None})
    lines = target.read_text("utf-8").splitlines()
    target.write_text("".join(f"{line.rstrip()}\n" for line in lines), "utf-8")


def _empty(height: float) -> tuple[Figure, Any]:
    from kgrow._figure import new_figure, plain_axes

    figure = new_figure(7.0, height)
    axes = figure.subplots()
    plain_axes(axes)
    return figure, axes


def _color(number: int) -> str:
    from kgrow._figure import color_of

    return color_of(number)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    sys.exit(draw())
