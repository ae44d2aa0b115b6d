"""Drawings of a report, as SVG: the confusion matrix and the network."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from kgrow._figure import COLORS
from kgrow.reporting.wording import grouped

CELL, LABELS, LONGEST_NAME = 26, 110, 16  # pixels, pixels, characters
ROW, NAMES, BARS, SHARE = 18, 210, 380, 70  # pixels


def confusion_svg(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Returns the confusion matrix: a row per class, a column per answer; a cell is as dark as its part of the row.

    Args:
        names: Name of each class.
        counts: Images of each class by their answer.
    """
    size = LABELS + CELL * len(names)
    parts = []
    for row, name in enumerate(names):
        middle = LABELS + CELL * row + CELL / 2
        short = html.escape(name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…")
        parts.append(f'<text x="{LABELS - 6}" y="{middle + 4}" text-anchor="end">{short}</text>')
        turned = f'transform="translate({middle + 4},{LABELS - 6}) rotate(-90)"'
        parts.append(f"<text {turned}>{short}</text>")
        whole = max(1, sum(counts[row]))
        for column, count in enumerate(counts[row]):
            if not count:
                continue
            share = count / whole
            x, y = LABELS + CELL * column, LABELS + CELL * row
            words = f"{grouped(count)} of {html.escape(name)} answered {html.escape(names[column])}"
            parts.append(
                f'<rect x="{x}" y="{y}" width="{CELL - 1}" height="{CELL - 1}" fill="{COLORS[0]}" '
                f'fill-opacity="{0.08 + 0.92 * share:.3f}"><title>{words}</title></rect>'
                f'<text x="{x + CELL / 2}" y="{y + CELL / 2 + 4}" text-anchor="middle"'
                f"{' class=light' if share > 0.5 else ''}>{count if count < 10_000 else '…'}</text>"
            )
    return _svg("Confusion matrix: rows are classes, columns answers", size, size, parts)


def network_svg(kernels: Sequence[Mapping[str, Any]]) -> str:
    """Returns the kernels of a network as bars, block by block, what is pruned faint; heads are outlined.

    Args:
        kernels: What `kgrow.report.content.kernels_of` returned.
    """
    most = max((kernel["params"] for kernel in kernels), default=1)
    width, height, parts = NAMES + BARS + SHARE, ROW * len(kernels) + 8, []
    for row, kernel in enumerate(kernels):
        y, color = 4 + ROW * row, COLORS[kernel["block"] % len(COLORS)]
        # Half of the connections are three quarters of the length: small kernels stay visible.
        whole = BARS * (kernel["params"] / most) ** 0.4
        kept = whole * kernel["kept"] / kernel["params"]
        shape = "x".join(map(str, kernel["shape"]))
        words = f"{kernel['name']}, {shape}: {grouped(kernel['kept'])} of {grouped(kernel['params'])} connections kept"
        outline = f' stroke="{color}" stroke-width="1.5"' if kernel["is_head"] else ""
        bar = f'<rect x="{NAMES}" y="{y}" height="{ROW - 4}" fill="{color}"'
        title = f"<title>{html.escape(words)}</title>"
        parts.append(
            f'<text x="{NAMES - 8}" y="{y + 12}" text-anchor="end">{html.escape(kernel["name"])}</text>'
            f'{bar} width="{whole:.1f}" fill-opacity="0.2"{outline}>{title}</rect>'
            f'{bar} width="{kept:.1f}">{title}</rect>'
            f'<text x="{NAMES + whole + 6:.1f}" y="{y + 12}">{100 * kernel["kept"] / kernel["params"]:.0f} %'
            f"{' head' if kernel['is_head'] else ''}</text>"
        )
    return (
        "<p>Each kernel as a bar of its connections, a color per block; pruned ones are faint, heads outlined.</p>"
        + _svg("Kernels of the network", width, height, parts)
    )


def _svg(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    """Returns a drawing that scrolls where the page is narrower."""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{title}">'
        f'<svg class="drawing" role="img" aria-label="{title}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}">{"".join(parts)}</svg></div>'
    )
