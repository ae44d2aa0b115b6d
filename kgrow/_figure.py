"""matplotlib figures, for which matplotlib is imported when the first one is made."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# That all eyes can tell apart (Okabe and Ito).
COLORS = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#d55e00")
QUIET = "0.3"  # the gray of lines and words that only explain


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure; it belongs to no window, and notebooks show it.

    Args:
        width: Width in inches.
        height: Height in inches.

    Raises:
        ImportError: If matplotlib is not installed; the message says how to install it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Pictures need matplotlib: pip install 'kgrow[plot]'.") from error

    class Shown(Figure):
        """A figure that a notebook shows, whether or not it knows matplotlib's own."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    return Shown((width, height), layout="constrained")


def color_of(number: int) -> str:
    """Returns the color of a block, a head or a trial, by its number from 0."""
    return COLORS[number % len(COLORS)]


def plain_axes(axes: Any) -> None:
    """Leaves away the frame's upper and right lines."""
    axes.spines[["top", "right"]].set_visible(False)


def count_labels(axis: Any) -> None:
    """Writes counts on an axis with spaces between thousands."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", " ")))
