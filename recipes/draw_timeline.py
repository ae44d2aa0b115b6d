"""Writes `docs/timeline.svg`, the growth of a network in a search that is run for it.

python recipes/draw_timeline.py
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "docs" / "timeline.svg"
OPTIONS: dict[str, Any] = {
    "config": {"growth": {"policy": "market"}, "export": "float32"},
    "pruning": {"keep_ratio": 0.25},
    "trials": 1,
}


def draw(target: Path = TARGET, **options: Any) -> None:
    """Searches on the digits and writes the picture.

    Args:
        target: File to write.
        options: Further arguments of the search.
    """
    import matplotlib as mpl

    import kgrow

    with tempfile.TemporaryDirectory() as folder:
        result = kgrow.search("digits", directory=folder, **{**OPTIONS, **options})
        figure = result.plot_timeline()
    figure.axes[0].set_title("")
    # Text stays text, and the same search gives the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "kgrow", "font.family": "sans-serif"}):
        figure.savefig(target, metadata={"Date": None, "Creator": None})
    lines = target.read_text("utf-8").splitlines()
    target.write_text("".join(f"{line.rstrip()}\n" for line in lines), "utf-8")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    sys.exit(draw())
